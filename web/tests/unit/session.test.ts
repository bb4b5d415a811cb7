import { describe, expect, test } from 'vitest';
import type { Event, Session } from '~/api/generated/types.gen.ts';
import { changes, indexOf, points, usual } from '~/live/past.ts';
import { SAMPLES, SESSIONS, type Sample, bytes, quantity, sample } from '~/live/usage.ts';

describe('the past of a session', () => {
  const event = (seq: number, at: string) => ({ entity_seq: seq, at }) as unknown as Event;

  test('has a point for each moment of its log, in order, and one for now', () => {
    const times = points([event(3, '2026-01-01T00:02:00Z'), event(1, '2026-01-01T00:00:00Z'), event(2, '2026-01-01T00:00:00Z')]);
    expect(times).toEqual(['2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z']);
    expect([indexOf(times, undefined), indexOf(times, '2026-01-01T00:01:00Z'), indexOf(times, '2025-01-01T00:00:00Z')]).toEqual([2, 0, 0]);
    expect([usual(times, 2), usual(times, 1), usual(times, 0)], 'what the last change did').toEqual([0, 0, 0]);
  });

  test('is told by what changed, without what is in no log', () => {
    const before = { status: 'pending', controller_id: null, tags: [], revision: 1, updated_at: 'a', awake: null } as unknown as Session;
    const after = { status: 'running', controller_id: 'local-1', tags: ['x'], revision: 4, updated_at: 'b', awake: {} } as unknown as Session;
    expect(changes(before, after)).toEqual([{ name: 'status', before: 'pending', after: 'running' }, { name: 'controller_id', before: '', after: 'local-1' }, { name: 'tags', before: '[]', after: '["x"]' }]);
    expect(changes(after, after)).toEqual([]);
  });
});

describe('what a session uses', () => {
  const using = (id: string, cpu: string | null, memory: string | null = null) => ({ session_id: id, resource_usage: { cpu, memory } }) as unknown as Session;

  test('is read as Kubernetes writes it', () => {
    expect(['500m', '2', '2Gi', '1.5M', '640Ki', 'x', '', '2 Gi', null].map((text) => quantity(text))).toEqual([0.5, 2, 2 ** 31, 1_500_000, 655_360, null, null, null, null]);
    expect([bytes(2 ** 31), bytes(1536), bytes(700 * 2 ** 20)]).toEqual(['2.0 GiB', '1.5 KiB', '700 MiB']);
  });

  test('is kept for so many samples of so many sessions, each once', () => {
    const kept = new Map<string, Sample[]>();
    for (let at = 0; at < SAMPLES + 5; at += 1) sample(using('one', '100m'), at, kept);
    expect([sample(using('one', '100m'), SAMPLES + 4, kept).length, kept.get('one')?.[0]?.at]).toEqual([SAMPLES, 5]);
    expect(sample(using('none', null), 1, kept)).toEqual([]);
    for (let id = 0; id < SESSIONS; id += 1) sample(using(`s${id}`, '1'), 1, kept);
    expect([kept.size, kept.has('one')]).toEqual([SESSIONS, false]);
  });
});
