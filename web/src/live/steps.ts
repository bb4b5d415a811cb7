/** The way of a session to its page, read off its state and its log. */
import type { Event, Session } from '~/api/generated/types.gen.ts';

export type Name = 'accepted' | 'placed' | 'starting' | 'ready';
export interface Step { name: Name; state: 'done' | 'now' | 'next' | 'failed'; at: string | null; took: number | null }

const STARTS = /^streamspace\.session\.(create|wake)(\.|$)/;
const status = (event: Event) => ((event.payload ?? {}) as { status?: string }).status;

/** The steps of the start that is under way, or of the last one. */
export function steps(session: Session, events: readonly Event[]): Step[] {
  const begin = events.findLastIndex((event) => event.kind === 'command' && STARTS.test(event.subject));
  const since = begin < 0 ? [] : events.slice(begin);
  const times: Record<Name, string | null> = {
    accepted: since[0]?.at ?? session.created_at,
    placed: session.controller_id ? since[0]?.at ?? null : null,
    starting: since.find((event) => event.kind === 'report' && ['creating', 'waking'].includes(status(event) ?? ''))?.at ?? null,
    ready: since.find((event) => event.kind === 'report' && status(event) === 'running')?.at ?? null,
  };
  const reached = session.status === 'running' ? 4 : ['creating', 'waking'].includes(session.status) ? 2 : session.controller_id ? 2 : 1;
  const names: Name[] = ['accepted', 'placed', 'starting', 'ready'];
  return names.map((name, at) => {
    const state = at < reached ? 'done' : at === reached ? (session.status === 'failed' ? 'failed' : 'now') : 'next';
    const before = at > 0 ? times[names[at - 1] ?? 'accepted'] : null;
    const took = times[name] && before && state === 'done' ? Math.max(0, Date.parse(times[name]) - Date.parse(before)) : null;
    return { name, state, at: state === 'done' ? times[name] : null, took };
  });
}

/** How long starts took before, the median; null where there was none. */
export function estimate(events: readonly Event[]): number | null {
  const took: number[] = [];
  let begun: number | null = null;
  for (const event of events) {
    if (event.kind === 'command' && STARTS.test(event.subject)) begun = Date.parse(event.at);
    else if (begun !== null && event.kind === 'report' && status(event) === 'running') {
      took.push(Date.parse(event.at) - begun);
      begun = null;
    }
  }
  took.sort((one, other) => one - other);
  return took[Math.floor(took.length / 2)] ?? null;
}
