/** A platform at a glance: what its controllers are like together. */
import type { Controller, Platform } from '~/api/generated/types.gen.ts';

export interface Summary {
  platform: Platform;
  /** Controllers in service: neither revoked nor waiting to be admitted. */
  controllers: Controller[];
  /** Those whose breaker is not closed, or is held. */
  broken: Controller[];
  lanes: string[];
  /** Versions that run side by side, the most frequent first. */
  versions: string[];
  used: number;
  /** Null where one of them announced no maximum. */
  most: number | null;
}

export function summaries(platforms: readonly Platform[], controllers: readonly Controller[]): Summary[] {
  const all = platforms.map((platform) => {
    const mine = controllers.filter((one) => one.platform === platform.platform && !one.revoked && one.admitted);
    const most = mine.map((one) => one.sessions_max ?? null);
    return {
      platform, controllers: mine,
      broken: mine.filter((one) => one.breaker.state !== 'closed' || one.breaker.held),
      lanes: [...new Set(mine.map((one) => one.lane))].sort(),
      versions: byFrequency(mine.map((one) => one.version ?? '')),
      used: mine.reduce((sum, one) => sum + (one.sessions ?? 0), 0),
      most: mine.length === 0 || most.includes(null) ? null : most.reduce<number>((sum, one) => sum + (one ?? 0), 0),
    };
  });
  // what nobody serves comes last
  return all.sort((one, other) => Number(other.platform.controllers > 0) - Number(one.platform.controllers > 0) || one.platform.platform.localeCompare(other.platform.platform));
}

function byFrequency(values: string[]): string[] {
  const counts = new Map<string, number>();
  for (const value of values.filter(Boolean)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0])).map(([value]) => value);
}
