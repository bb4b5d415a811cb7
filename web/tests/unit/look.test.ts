import { describe, expect, test } from 'vitest';
import type { Controller, Platform } from '~/api/generated/types.gen.ts';
import { summaries } from '~/live/platforms.ts';
import { hue, initials } from '~/ui/monogram.tsx';

describe('a drawn picture', () => {
  test('has the initials of a name, whatever the name is made of', () => {
    expect(['Firefox', 'VS Code', 'libre-office-writer', 'a', '', '∂x ünder', '日本語'].map(initials)).toEqual(['FI', 'VC', 'LO', 'A', '?', 'XÜ', '日本']);
  });

  test('has always the same colour for a name, and another for its neighbours', () => {
    expect(hue('firefox')).toBe(hue('firefox'));
    const hues = new Set(Array.from({ length: 40 }, (_, at) => hue(`app-${at}`)));
    expect(hues.size).toBeGreaterThan(30);
    expect([...hues].every((value) => value >= 0 && value < 360)).toBe(true);
  });
});

describe('a platform', () => {
  const platform = (name: string, controllers: number) => ({ platform: name, controllers, healthy: controllers, accepting: controllers > 0 }) as unknown as Platform;
  const controller = (id: string, over: object = {}) => ({ controller_id: id, platform: 'docker', version: '1.0', lane: 'durable', sessions: 2, sessions_max: 10, admitted: true, revoked: false, breaker: { state: 'closed', held: false }, ...over }) as unknown as Controller;

  test('shows open breakers, versions that differ and the room of those in service', () => {
    const all = [controller('a'), controller('b'), controller('c', { version: '0.9', breaker: { state: 'open', held: false } }), controller('d', { revoked: true }), controller('e', { admitted: false }), controller('f', { platform: 'local' })];
    const [docker] = summaries([platform('docker', 5)], all);
    expect(docker?.controllers.map((one) => one.controller_id)).toEqual(['a', 'b', 'c']);
    expect(docker?.broken.map((one) => one.controller_id)).toEqual(['c']);
    expect([docker?.versions, docker?.lanes, docker?.used, docker?.most]).toEqual([['1.0', '0.9'], ['durable'], 6, 30]);
    expect(summaries([platform('docker', 2)], [controller('a'), controller('b', { sessions_max: null })])[0]?.most, 'no maximum of one is none of all').toBeNull();
  });

  test('that nobody serves comes last', () => {
    expect(summaries([platform('a', 0), platform('z', 1), platform('m', 1)], []).map((one) => one.platform.platform)).toEqual(['m', 'z', 'a']);
  });
});
