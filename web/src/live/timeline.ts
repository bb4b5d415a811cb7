/** A session's log as a story: rows in order, and the time between them in which nothing happened. */
import type { Event } from '~/api/generated/types.gen.ts';

/** Nothing happened for longer than this: the time is shown as one line. */
export const IDLE_MS = 60_000;

export type Entry = { type: 'event'; event: Event; tone: 'good' | 'bad' | 'busy' | '' } | { type: 'idle'; ms: number; key: string };

export function timeline(events: readonly Event[]): Entry[] {
  const seen = new Set<number>();
  const entries: Entry[] = [];
  let last: number | null = null;
  for (const event of [...events].sort((one, other) => one.entity_seq - other.entity_seq)) {
    if (seen.has(event.entity_seq)) continue; // a page that was read twice
    seen.add(event.entity_seq);
    const at = Date.parse(event.at);
    if (last !== null && at - last > IDLE_MS) entries.push({ type: 'idle', ms: at - last, key: `idle-${event.entity_seq}` });
    entries.push({ type: 'event', event, tone: tone(event) });
    last = at;
  }
  return entries;
}

function tone(event: Event): 'good' | 'bad' | 'busy' | '' {
  const said = (event.payload ?? {}) as { status?: string; error?: unknown };
  if (event.status === 'failed' || event.status === 'dead_lettered' || said.status === 'failed' || event.error_message) return 'bad';
  if (event.kind === 'command' && ['pending', 'published', 'processing'].includes(event.status ?? '')) return 'busy';
  return event.kind === 'report' && ['running', 'hibernated', 'deleted'].includes(said.status ?? '') ? 'good' : '';
}

/** What happened, in a word of the catalog: the verb of a command, the state of a report, the name of a decision. */
export function happened(event: Event): string {
  const parts = event.subject.replace(/^streamspace\./, '').split('.');
  const said = (event.payload ?? {}) as { status?: string; decision?: string };
  if (event.kind === 'command') return `command.${parts[0]}.${parts[1]}`;
  if (event.kind === 'report') return `report.${said.status ?? parts[1]}`;
  return `decision.${said.decision ?? parts[1]}`;
}
