/** The way through a list: the cursor of each page that was seen, so that one can go back where the server only goes on. */
export type Trail = readonly (string | null)[];

/** On the first page. */
export const start: Trail = [null];

export const here = (trail: Trail): string | null => trail.at(-1) ?? null;
export const onwards = (trail: Trail, next: string): Trail => [...trail, next];
export const back = (trail: Trail): Trail => (trail.length > 1 ? trail.slice(0, -1) : trail);

/** The trail to a page whose cursor stands in the URL: the one that is remembered, or a first page and this one. */
export function find(trail: Trail, cursor: string | undefined): Trail {
  if (!cursor) return start;
  const at = trail.indexOf(cursor);
  return at >= 0 ? trail.slice(0, at + 1) : here(trail) === null && trail.length === 1 ? [null, cursor] : [...trail, cursor];
}
