/**
 * Rows that change while they are looked at. A row is changed only by what is newer than it: its revision is the place of the last row
 * of its log that it has in it, and each item of the feed names its own. So neither an item that comes twice, nor an answer that was
 * read before and came after, takes anything back.
 */
import type { FeedItem, Session } from '~/api/generated/types.gen.ts';

type Changes = Record<string, unknown>;

/** Columns of the log that are called the same in the resource. */
const SAME = ['status', 'desired', 'generation', 'reason', 'message', 'phase', 'url', 'pod_name', 'placement', 'controller_id', 'attempt', 'tags', 'metadata'] as const;

/** The session after an item; the same object where the item is not newer. */
export function patchSession(session: Session, item: FeedItem): Session {
  if (item.entity !== `session:${session.session_id}` || item.entity_seq <= session.revision) return session;
  const changes = (item.changes ?? {}) as Changes;
  const patched: Session = { ...session, revision: item.entity_seq, generation: item.generation, updated_at: item.at };
  for (const name of SAME) if (name in changes) (patched as unknown as Changes)[name] = changes[name];
  if ('next_attempt_ms' in changes) patched.next_attempt_at = time(changes.next_attempt_ms);
  return patched;
}

const time = (ms: unknown): string | null => (typeof ms === 'number' ? new Date(ms).toISOString() : null);

/** The one of two that is newer, for answers that overtake each other. */
export function newer(one: Session | undefined, other: Session): Session {
  if (!one || one.session_id !== other.session_id) return other;
  return one.revision > other.revision ? one : other;
}

/** Rows after a batch of items: none moves, none is added, none is taken away. */
export function patchRows(rows: Session[], items: FeedItem[]): Session[] {
  const byEntity = new Map<string, FeedItem[]>();
  for (const item of items) {
    const list = byEntity.get(item.entity);
    if (list) list.push(item);
    else byEntity.set(item.entity, [item]);
  }
  let changed = false;
  const patched = rows.map((row) => {
    const after = (byEntity.get(`session:${row.session_id}`) ?? []).reduce(patchSession, row);
    changed ||= after !== row;
    return after;
  });
  return changed ? patched : rows;
}

/** A page that was read again, without losing what the feed has said meanwhile. */
export function mergePage(before: Session[] | undefined, read: Session[]): Session[] {
  const known = new Map((before ?? []).map((row) => [row.session_id, row]));
  return read.map((row) => newer(known.get(row.session_id), row));
}

export interface Filter {
  status?: string | undefined;
  user_id?: string | undefined;
  platform?: string | undefined;
  template_id?: string | undefined;
  tag?: string | undefined;
  controller_id?: string | undefined;
}

/** Whether a row still belongs to a list. Without a status, all but those that were deleted do. */
export function matches(row: Session, filter: Filter): boolean {
  const status = filter.status ? filter.status === 'all' || filter.status.split(',').includes(row.status) : row.status !== 'deleted';
  return status
    && (!filter.user_id || filter.user_id === row.user_id)
    && (!filter.platform || filter.platform === row.platform)
    && (!filter.template_id || filter.template_id === row.template_id)
    && (!filter.controller_id || filter.controller_id === row.controller_id)
    && (!filter.tag || row.tags.includes(filter.tag));
}

/** Ids of sessions that are new, as far as the feed tells, and would be in a list. */
export function arrivals(items: FeedItem[], filter: Filter, known: ReadonlySet<string>): string[] {
  const found: string[] = [];
  for (const item of items) {
    if (!item.entity.startsWith('session:') || item.entity_seq !== 1) continue;
    const id = item.entity.slice('session:'.length);
    const said = (item.payload ?? {}) as { template_id?: string };
    const fits = (!filter.user_id || filter.user_id === item.user_id)
      && (!filter.platform || filter.platform === item.platform)
      && (!filter.template_id || filter.template_id === said.template_id)
      && (!filter.status || filter.status.split(',').some((status) => status === 'all' || status === 'pending'));
    if (fits && !known.has(id)) found.push(id);
  }
  return found;
}
