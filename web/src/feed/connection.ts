/** One connection to `/api/v1/stream` that is kept: resumed by position, tried again with back-off, and told to whoever listens. */
import type { FeedItem } from '~/api/generated/types.gen.ts';
import { base } from '~/api/http.ts';
import { Parser } from './sse.ts';
import { type FeedState, type Happened, next, pause } from './state.ts';

/** Silence after which a stream that was resumed has caught up. */
const QUIET_MS = 250;
/** Items are told together, so that a burst costs a few renders and not thousands. */
const BATCH_MS = 80;
/** The server says something every 15 s; more silence than this means that the connection is dead. */
const DEAD_MS = 45_000;

export interface Listener {
  items(items: FeedItem[]): void;
  state(state: FeedState): void;
}

/** Keeps the connection until the signal fires. */
export async function keep(from: FeedState, listener: Listener, signal: AbortSignal): Promise<void> {
  let state = { ...from, phase: 'connecting' as const, tries: 0 } as FeedState;
  const happened = (what: Happened) => {
    const before = state;
    state = next(state, what);
    if (state !== before) listener.state(state);
  };
  listener.state(state);
  while (!signal.aborted) {
    await connect(() => state, happened, listener, signal);
    if (signal.aborted) return;
    await wait(state.phase === 'logged_out' ? 5_000 : pause(state.tries, Math.random()), signal);
    happened({ type: 'retry' });
  }
}

async function connect(state: () => FeedState, happened: (what: Happened) => void, listener: Listener, signal: AbortSignal): Promise<void> {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener('abort', stop);
  let alive = setTimeout(stop, DEAD_MS);
  const batch = new Batch(listener, happened);
  try {
    const position = state().position;
    const response = await fetch(`${base}api/v1/stream${position ? `?after=${encodeURIComponent(position)}` : ''}`, {
      credentials: 'same-origin', headers: { accept: 'text/event-stream' }, signal: own.signal, cache: 'no-store',
    });
    if (!response.ok || !response.body) {
      happened({ type: 'failed', status: response.status, reason: response.statusText });
      return;
    }
    happened({ type: 'opened' });
    batch.quietly();
    const [parser, decoder, reader] = [new Parser(), new TextDecoder(), response.body.getReader()];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(alive);
      alive = setTimeout(stop, DEAD_MS);
      for (const message of parser.push(decoder.decode(value, { stream: true }))) {
        if (message.event === 'cut') {
          const cut = JSON.parse(message.data) as { reason: string; after?: string };
          batch.flush();
          happened({ type: 'cut', reason: cut.reason, position: cut.after ?? message.id ?? null });
          return;
        }
        batch.add(message.id, message.data);
      }
    }
    batch.flush();
    happened({ type: 'cut', reason: 'closed', position: null });
  } catch (error) {
    batch.flush();
    if (!signal.aborted) happened({ type: 'failed', status: 0, reason: error instanceof Error ? error.message : String(error) });
  } finally {
    clearTimeout(alive);
    batch.stop();
    own.abort();
    signal.removeEventListener('abort', stop);
  }
}

class Batch {
  private items: FeedItem[] = [];
  private position: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private quiet: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly listener: Listener, private readonly happened: (what: Happened) => void) {}

  add(id: string | undefined, data: string): void {
    if (data !== '') this.items.push(JSON.parse(data) as FeedItem);
    if (id) this.position = id;
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const items = this.items;
    this.items = [];
    if (items.length > 0) this.listener.items(items);
    if (this.position !== undefined) this.happened({ type: 'moved', position: this.position });
    this.quietly();
  }

  /** When nothing more comes for a moment, the past has been read. */
  quietly(): void {
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.happened({ type: 'quiet' }), QUIET_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.quiet);
  }
}

/** Waits, but not when the network comes back or somebody looks at the page again. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      removeEventListener('online', wake);
      document.removeEventListener('visibilitychange', seen);
      resolve();
    };
    const seen = () => { if (!document.hidden) wake(); };
    const timer = setTimeout(wake, ms);
    signal.addEventListener('abort', wake);
    addEventListener('online', wake);
    document.addEventListener('visibilitychange', seen);
  });
}
