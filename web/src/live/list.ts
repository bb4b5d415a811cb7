/**
 * The list of sessions that is looked at: read page by page as one scrolls, patched by the feed, and kept for a while when one goes on to
 * a session, so that the way back leads to the same place.
 */
import * as api from '~/api/generated/sdk.gen.ts';
import type { FeedItem, Session } from '~/api/generated/types.gen.ts';
import { ask } from '~/api/http.ts';
import { feed } from '~/feed/shared.ts';
import { type Filter, arrivals, mergePage } from './patch.ts';
import { type ListWindow, type Loaded, NEXT, PAGE, type Page, after, append, before, isAfter, loaded, open, patch, prepend, rowsOf } from './window.ts';

export interface Shown {
  list: ListWindow | null;
  rows: Session[];
  /** Rows moved down by so many places since `moves` counted last. */
  shift: number;
  moves: number;
  loading: 'first' | 'before' | 'after' | null;
  error: unknown;
  /** Sessions that came since and would be in the list. */
  fresh: number;
  /** When the first page was read: what "all that match" are is said as of then. */
  readAt: string | null;
}

const NOTHING: Shown = { list: null, rows: [], shift: 0, moves: 0, loading: null, error: null, fresh: 0, readAt: null };
/** Ids of new sessions that are told apart; beyond them the count stands still. */
const FRESH = 10_000;

export class SessionList {
  state: Shown = NOTHING;
  private readonly changes = new Set<() => void>();
  private readonly fresh = new Set<string>();
  private position = '';
  private round = 0;

  constructor(readonly filter: Filter, readonly sort: string | undefined) {}

  subscribe = (changed: () => void): (() => void) => {
    this.changes.add(changed);
    return () => void this.changes.delete(changed);
  };

  /** Begins at a page, unless it is in memory. */
  async start(cursor: string | undefined): Promise<void> {
    if (this.state.list?.pages.some((page) => page.cursor === cursor)) return;
    await this.load(cursor);
  }

  /** Begins anew at the first page. */
  async reload(): Promise<void> {
    this.fresh.clear();
    await this.load(undefined);
  }

  /** Reads again what is in memory: after the feed could not be continued, or has only just begun. */
  async refresh(): Promise<void> {
    const { list } = this.state;
    if (!list) return void (this.state.error ? await this.load(undefined) : undefined);
    const round = this.round;
    const pages: Loaded[] = [];
    try {
      for (const page of list.pages) pages.push(loaded(page.cursor, await this.read(page.cursor)));
    } catch (error) {
      this.set({ error });
      return;
    }
    if (round !== this.round || this.state.list?.pages.length !== pages.length) return; // one has scrolled on meanwhile
    this.show({ ...this.state.list, pages: pages.map((page, at) => ({ ...page, rows: mergePage(this.state.list?.pages[at]?.rows, page.rows) })) }, { error: null });
  }

  async more(where: 'before' | 'after'): Promise<void> {
    const { list, loading } = this.state;
    const cursor = list && (where === 'after' ? after(list) : before(list));
    if (!list || !cursor || loading) return;
    const round = this.round;
    this.set({ loading: where, error: null });
    try {
      const page = loaded(cursor, await this.read(cursor));
      if (round !== this.round || !this.state.list) return;
      if (where === 'after') {
        this.show(append(this.state.list, page), { loading: null });
      } else {
        const { list: next, shift } = prepend(this.state.list, page);
        this.show(next, { loading: null, shift, moves: this.state.moves + 1 });
      }
    } catch (error) {
      if (round === this.round) this.set({ loading: null, error });
    }
  }

  take(items: FeedItem[]): void {
    const { list } = this.state;
    if (!list) return;
    const known = new Set(this.state.rows.map((row) => row.session_id));
    const later = items.filter((item) => isAfter(item.id, this.position)); // what came before is in the list, wherever
    for (const id of arrivals(later, this.filter, known)) if (this.fresh.size < FRESH) this.fresh.add(id);
    const next = patch(list, items);
    if (next !== list) this.show(next, {});
    else if (this.fresh.size !== this.state.fresh) this.set({ fresh: this.fresh.size });
  }

  private async load(cursor: string | undefined): Promise<void> {
    const round = ++this.round;
    this.set({ loading: 'first', error: null });
    try {
      const { page, readAt } = await this.dated(cursor);
      if (round !== this.round) return;
      this.position = page.position;
      this.show(open(loaded(cursor, page)), { loading: null, readAt, moves: this.state.moves + 1, shift: 0 });
    } catch (error) {
      if (round === this.round) this.set({ loading: null, error });
    }
  }

  private async read(cursor: string | undefined): Promise<Page> {
    return (await this.dated(cursor)).page;
  }

  /** A page, and when the server answered by its own clock, which has whole seconds: up to the end of that one. */
  private async dated(cursor: string | undefined): Promise<{ page: Page; readAt: string }> {
    const answering = api.listSessions({ query: { ...this.filter, sort: this.sort, cursor, limit: cursor === undefined ? PAGE : NEXT } as never });
    const page = (await ask(answering)) as Page;
    const date = Date.parse((await answering).response?.headers.get('date') ?? '');
    return { page, readAt: new Date((Number.isNaN(date) ? Date.now() : date) + 999).toISOString() };
  }

  private show(list: ListWindow, rest: Partial<Shown>): void {
    const rows = rowsOf(list);
    for (const row of rows) this.fresh.delete(row.session_id);
    this.set({ list, rows, fresh: this.fresh.size, ...rest });
  }

  private set(change: Partial<Shown>): void {
    this.state = { ...this.state, ...change };
    for (const changed of this.changes) changed();
  }
}

let kept: { key: string; list: SessionList } | null = null;

/** The list of a filter and an order: the one that was looked at last, or a new one. Only one is in memory. */
export function listOf(filter: Filter, sort: string | undefined): SessionList {
  const key = JSON.stringify([filter, sort]);
  if (kept?.key !== key) kept = { key, list: new SessionList(filter, sort) };
  return kept.list;
}

feed.watch((items) => kept?.list.take(items));
export const refreshList = (): void => void kept?.list.refresh();
