/**
 * The part of a long list that is in memory: some pages in a row, of which the far ones are dropped while one scrolls. Rows keep their
 * index in the list as far as it is known, so that what is dropped at the top leaves its room and nothing moves under the eyes.
 */
import type { FeedItem, Session } from '~/api/generated/types.gen.ts';
import { newer, patchRows } from './patch.ts';

/** Rows of the first page, which one waits for, and of those after it; and pages in memory at most. */
export const PAGE = 100;
export const NEXT = 200;
export const PAGES = 4;

export interface Page { items: Session[]; prev_cursor?: string | null; next_cursor?: string | null; position: string }

/** A page with the cursor that leads to it; none for the first one. */
export interface Loaded { cursor: string | undefined; rows: Session[]; prev: string | null; next: string | null }

export interface ListWindow {
  pages: Loaded[];
  /** Rows above the first page, as far as they were seen: the index of the first row that is in memory. */
  offset: number;
}

export const loaded = (cursor: string | undefined, page: Page): Loaded => ({ cursor, rows: page.items, prev: page.prev_cursor ?? null, next: page.next_cursor ?? null });
export const open = (page: Loaded): ListWindow => ({ pages: [page], offset: 0 });
export const rowsOf = (list: ListWindow): Session[] => list.pages.flatMap((page) => page.rows);
export const before = (list: ListWindow): string | null => list.pages[0]?.prev ?? null;
export const after = (list: ListWindow): string | null => list.pages.at(-1)?.next ?? null;

/** A page at the end; the first ones are dropped for it. */
export function append(list: ListWindow, page: Loaded): ListWindow {
  const { pages, rows } = distinct(list, page);
  const all = [...pages, { ...page, rows }];
  const dropped = all.splice(0, Math.max(0, all.length - PAGES));
  return { pages: all, offset: list.offset + count(dropped) };
}

/** A page at the beginning; the last ones are dropped for it. `shift` is by how many places the rows that were there moved. */
export function prepend(list: ListWindow, page: Loaded): { list: ListWindow; shift: number } {
  const { pages, rows } = distinct(list, page);
  const offset = page.prev === null ? 0 : Math.max(0, list.offset - rows.length);
  return { list: { pages: [{ ...page, rows }, ...pages].slice(0, PAGES), offset }, shift: offset + rows.length - list.offset };
}

/** Rows that are there already are not put twice: the newer of both stays where it is. */
function distinct(list: ListWindow, page: Loaded): { pages: Loaded[]; rows: Session[] } {
  const read = new Map(page.rows.map((row) => [row.session_id, row]));
  const known = new Set<string>();
  const pages = list.pages.map((one) => {
    const rows = one.rows.map((row) => {
      const again = read.get(row.session_id);
      if (!again) return row;
      known.add(row.session_id);
      return newer(row, again);
    });
    return rows.some((row, at) => row !== one.rows[at]) ? { ...one, rows } : one;
  });
  return { pages, rows: [...read.values()].filter((row) => !known.has(row.session_id)) };
}

/** Rows after a batch of the feed, where they stand; the same object where nothing changed. */
export function patch(list: ListWindow, items: FeedItem[]): ListWindow {
  let changed = false;
  const pages = list.pages.map((page) => {
    const rows = patchRows(page.rows, items);
    changed ||= rows !== page.rows;
    return rows === page.rows ? page : { ...page, rows };
  });
  return changed ? { ...list, pages } : list;
}

/** The page that a row of this index is on. */
export function pageAt(list: ListWindow, index: number): Loaded | undefined {
  let first = list.offset;
  for (const page of list.pages) {
    if (index < first + page.rows.length) return page;
    first += page.rows.length;
  }
  return list.pages.at(-1);
}

const count = (pages: Loaded[]): number => pages.reduce((sum, page) => sum + page.rows.length, 0);

/** Whether a position of the feed comes after another; what cannot be read does. Transactions count first, then rows. */
export function isAfter(position: string, other: string): boolean {
  const [one, two] = [position, other].map((text) => text.split('.').slice(0, 2).map((part) => parseInt(part, 16)));
  const [x, y] = [one ?? [], two ?? []];
  return x[0] !== y[0] ? !(x[0]! < y[0]!) : !(x[1]! <= y[1]!);
}
