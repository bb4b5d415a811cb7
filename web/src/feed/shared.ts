/**
 * One feed for all tabs. A browser opens six connections to a server over HTTP/1.1, and a feed takes one for good: so one tab, which
 * holds a lock, reads the feed and tells the others. When it is closed the next tab gets the lock and goes on from where it had heard.
 * Where there are no locks (a page that came over http from another machine) each tab reads its own.
 */
import type { FeedItem } from '~/api/generated/types.gen.ts';
import { base } from '~/api/http.ts';
import { keep } from './connection.ts';
import { type FeedState, begin } from './state.ts';

type Said = { type: 'items'; items: FeedItem[] } | { type: 'state'; state: FeedState } | { type: 'hello' };

export class Feed {
  state: FeedState = begin;
  /** Whether this tab is the one that reads. */
  leads = false;
  private readonly watchers = new Set<(items: FeedItem[]) => void>();
  private readonly changes = new Set<() => void>();
  private channel: BroadcastChannel | undefined;
  private stop: AbortController | undefined;

  /** Called with what was missed for good: everything that was read before has to be read again. */
  onReset: () => void = () => {};

  start(): void {
    if (this.stop) return;
    const stop = (this.stop = new AbortController());
    const name = `streamspace-feed:${base}`;
    if (typeof BroadcastChannel === 'undefined' || !navigator.locks) return void this.lead(stop.signal);
    const channel = (this.channel = new BroadcastChannel(name));
    channel.onmessage = ({ data }: MessageEvent<Said>) => this.heard(data);
    this.tell({ type: 'hello' });
    navigator.locks.request(name, { signal: stop.signal }, () => this.lead(stop.signal)).catch(() => {}); // it was stopped
  }

  end(): void {
    this.stop?.abort();
    this.stop = undefined;
    this.channel?.close();
    this.channel = undefined;
    this.leads = false;
    this.set(begin);
  }

  watch(watcher: (items: FeedItem[]) => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  subscribe = (changed: () => void): (() => void) => {
    this.changes.add(changed);
    return () => void this.changes.delete(changed);
  };

  private async lead(signal: AbortSignal): Promise<void> {
    this.leads = true;
    const listener = {
      items: (items: FeedItem[]) => {
        this.tell({ type: 'items', items });
        this.deliver(items);
      },
      state: (state: FeedState) => {
        this.tell({ type: 'state', state });
        this.set(state);
      },
    };
    await keep(this.state, listener, signal);
  }

  private heard(said: Said): void {
    if (said.type === 'hello') {
      if (this.leads) this.tell({ type: 'state', state: this.state });
    } else if (this.leads) {
      // two lead for a moment where a lock was stolen; each has its own truth
    } else if (said.type === 'items') {
      this.deliver(said.items);
    } else {
      this.set(said.state);
    }
  }

  private tell(said: Said): void {
    this.channel?.postMessage(said);
  }

  private deliver(items: FeedItem[]): void {
    for (const watcher of this.watchers) watcher(items);
  }

  private set(state: FeedState): void {
    const before = this.state;
    this.state = state;
    // what was read before the feed began, or before it was lost, may be older than its first item
    const fresh = state.phase === 'live' && (before.phase === 'gone' || (before.position === null && before.phase !== 'live'));
    if (fresh) this.onReset();
    if (before.phase !== state.phase || before.reason !== state.reason) for (const changed of this.changes) changed();
  }
}

export const feed = new Feed();
