/** The states of the feed, as a table: what happened and what follows, without a clock and without a network. */
export type Phase = 'connecting' | 'catching_up' | 'live' | 'cut' | 'gone' | 'logged_out';

export interface FeedState {
  phase: Phase;
  /** Behind which item it goes on; none: from now. */
  position: string | null;
  /** Tries since it was last connected. */
  tries: number;
  reason: string | null;
}

export type Happened =
  | { type: 'opened' }
  | { type: 'moved'; position: string }
  | { type: 'quiet' }
  | { type: 'cut'; reason: string; position: string | null }
  | { type: 'failed'; status: number; reason: string }
  | { type: 'retry' };

export const begin: FeedState = { phase: 'connecting', position: null, tries: 0, reason: null };

export function next(state: FeedState, happened: Happened): FeedState {
  switch (happened.type) {
    case 'opened':
      return { ...state, phase: state.position === null ? 'live' : 'catching_up', tries: 0, reason: null };
    case 'moved':
      return state.position === happened.position ? state : { ...state, position: happened.position };
    case 'quiet':
      return state.phase === 'catching_up' ? { ...state, phase: 'live' } : state;
    case 'cut':
      if (happened.reason === 'gone') return gone(state, happened.reason);
      return { ...state, phase: 'cut', position: happened.position ?? state.position, reason: happened.reason, tries: state.tries + 1 };
    case 'failed':
      if (happened.status === 410) return gone(state, happened.reason);
      if (happened.status === 401) return { ...state, phase: 'logged_out', reason: happened.reason };
      return { ...state, phase: 'cut', reason: happened.reason, tries: state.tries + 1 };
    case 'retry':
      return state.phase === 'gone' || state.phase === 'cut' ? { ...state, phase: state.phase === 'gone' ? 'gone' : 'connecting' } : state;
  }
}

/** What was missed cannot be read any more: it begins anew, and every list has to be read again. */
function gone(state: FeedState, reason: string): FeedState {
  return { phase: 'gone', position: null, tries: state.tries + 1, reason };
}

/** Milliseconds before the next try: half a second, doubling, ten seconds at most, and up to a quarter more by chance. */
export function pause(tries: number, chance: number): number {
  return Math.min(10_000, 500 * 2 ** Math.max(0, tries - 1)) * (1 + chance / 4);
}
