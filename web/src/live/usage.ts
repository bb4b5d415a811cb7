/** What a session used while its page was open: a bounded ring in this page's memory, gone with a reload. */
import type { Session } from '~/api/generated/types.gen.ts';

export interface Sample { at: number; cpu: number | null; memory: number | null }

/** Samples of a session, and sessions, that are kept: an hour at one in 15 s. */
export const SAMPLES = 240;
export const SESSIONS = 8;
export const EVERY_MS = 15_000;

const BINARY: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 };
const DECIMAL: Record<string, number> = { m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };

/** A Kubernetes quantity as a number: `500m` is 0.5, `2Gi` 2,147,483,648. */
export function quantity(text: string | null | undefined): number | null {
  const parts = /^(\d+(?:\.\d+)?)([KMGTPE]i|[mkMGTPE])?$/.exec(text ?? '');
  if (!parts) return null;
  return Number(parts[1]) * (parts[2] ? BINARY[parts[2]] ?? DECIMAL[parts[2]] ?? NaN : 1);
}

const rings = new Map<string, Sample[]>();

/** Adds what a session uses now, and gives what was seen of it so far. */
export function sample(session: Session, at: number, kept: Map<string, Sample[]> = rings): Sample[] {
  const before = kept.get(session.session_id) ?? [];
  const now = { at, cpu: quantity(session.resource_usage?.cpu), memory: quantity(session.resource_usage?.memory) };
  const known = before.at(-1)?.at === at || (now.cpu === null && now.memory === null);
  const ring = known ? before : [...before, now].slice(-SAMPLES);
  kept.delete(session.session_id); // the one that was looked at last goes last
  kept.set(session.session_id, ring);
  for (const oldest of kept.keys()) {
    if (kept.size <= SESSIONS) break;
    kept.delete(oldest);
  }
  return ring;
}

/** Bytes for people. */
export function bytes(value: number): string {
  const unit = value >= 2 ** 30 ? 'GiB' : value >= 2 ** 20 ? 'MiB' : 'KiB';
  const number = value / { GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10 }[unit];
  return `${number.toFixed(number < 10 ? 1 : 0)} ${unit}`;
}
