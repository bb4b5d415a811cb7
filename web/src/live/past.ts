/** A session at two points of its log, and what changed between them. */
import type { Event, Session } from '~/api/generated/types.gen.ts';

/** A point that one can go to: the moments of the log, in order, each once. The last one is now. */
export const points = (events: readonly Event[]): string[] =>
  [...new Set([...events].sort((one, other) => one.entity_seq - other.entity_seq).map((event) => event.at))];

/** The index of a point by its time: of the last one that is not later; `now` where no time is given. */
export function indexOf(times: readonly string[], at: string | undefined): number {
  if (!at) return times.length;
  const wanted = Date.parse(at);
  return Math.max(0, times.findLastIndex((time) => Date.parse(time) <= wanted));
}

/** Where one looks from, unless one says so: the point before. Now is as the last point left it, so that it is looked at from before that. */
export const usual = (times: readonly string[], to: number): number => Math.max(0, to - (to >= times.length ? 2 : 1));

export interface Change { name: string; before: string; after: string }

/** What is in no log, or changes with everything else. */
const LEFT_OUT = new Set(['awake', 'connections', 'resource_usage', 'last_activity', 'updated_at', 'revision', 'session_id', 'created_at']);

export function changes(before: Session, after: Session): Change[] {
  const [one, other] = [before as unknown as Record<string, unknown>, after as unknown as Record<string, unknown>];
  return Object.keys(other).filter((name) => !LEFT_OUT.has(name) && text(one[name]) !== text(other[name])).map((name) => ({ name, before: text(one[name]), after: text(other[name]) }));
}

const text = (value: unknown): string => (value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));
