import { describe, expect, test, vi } from 'vitest';
import type { FeedItem, Session } from '~/api/generated/types.gen.ts';
import { back, find, here, onwards, start } from '~/live/cursors.ts';
import { diff, hex } from '~/live/diff.ts';
import { lineOf } from '~/live/mistakes.ts';
import { arrivals, matches, mergePage, newer, patchRows, patchSession } from '~/live/patch.ts';
import { fits, matchesSubject, push } from '~/live/ring.ts';
import { Soon } from '~/live/soon.ts';
import { estimate, steps } from '~/live/steps.ts';
import { timeline } from '~/live/timeline.ts';
import { t, word } from '~/text/index.ts';
import { relative } from '~/ui/time.ts';

const session = (over: Partial<Session> = {}): Session => ({ session_id: 'one', status: 'pending', desired: 'running', revision: 1, generation: 1, user_id: 'ada', platform: 'local', template_id: 'firefox', tags: [], created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z', ...over }) as Session;
const item = (seq: number, changes: Record<string, unknown> | null = {}, over: Partial<FeedItem> = {}): FeedItem => ({ id: `p${seq}`, entity: 'session:one', entity_seq: seq, generation: 1, kind: 'report', at: '2026-01-01T00:00:05Z', subject: 'streamspace.session.status.local.l-1', changes, payload: {}, user_id: 'ada', platform: 'local', event_id: `e${seq}`, status: null, ...over }) as FeedItem;

describe('rows are patched', () => {
  test('only by what is newer: neither an item that comes twice nor one that comes late takes anything back', () => {
    const running = patchSession(session(), item(3, { status: 'running', url: 'http://x/' }));
    expect(running).toMatchObject({ status: 'running', url: 'http://x/', revision: 3, updated_at: '2026-01-01T00:00:05Z' });
    expect(patchSession(running, item(3, { status: 'failed' }))).toBe(running);
    expect(patchSession(running, item(2, { status: 'creating' }))).toBe(running);
    expect(patchSession(running, item(4, {}, { entity: 'session:other' }))).toBe(running);
  });

  test('in any order of arrival, with doubles, to what the newest says', () => {
    const history = [item(2, { status: 'creating' }), item(3, { status: 'running' }), item(4, { status: 'hibernating' })];
    for (const order of [[0, 1, 2], [0, 0, 1, 2, 1], [0, 2, 1], [2, 0, 1]]) {
      const end = order.map((at) => history[at]!).reduce(patchSession, session());
      expect([end.status, end.revision], String(order)).toEqual(['hibernating', 4]);
    }
  });

  test('where they stand: none moves, none comes, none goes, and nothing is drawn again for nothing', () => {
    const rows = [session(), session({ session_id: 'two' })];
    expect(patchRows(rows, [item(9, {}, { entity: 'session:three' })])).toBe(rows);
    const after = patchRows(rows, [item(2, { status: 'running' })]);
    expect(after.map((row) => [row.session_id, row.status])).toEqual([['one', 'running'], ['two', 'pending']]);
    expect(after[1]).toBe(rows[1]);
  });

  test('an answer that was read before and came after loses', () => {
    const known = session({ revision: 5, status: 'running' });
    expect(newer(known, session({ revision: 4 }))).toBe(known);
    expect(mergePage([known], [session({ revision: 4 }), session({ session_id: 'two' })]).map((row) => row.revision)).toEqual([5, 1]);
  });

  test('times of the log become times of the resource', () => {
    expect(patchSession(session(), item(2, { next_attempt_ms: 0 })).next_attempt_at).toBe('1970-01-01T00:00:00.000Z');
    expect(patchSession(session({ next_attempt_at: 'x' }), item(2, { next_attempt_ms: null })).next_attempt_at).toBeNull();
  });
});

describe('lists', () => {
  test('a row that no longer fits is known, and deleted ones only fit where they were asked for', () => {
    expect(matches(session({ status: 'running' }), { status: 'pending' })).toBe(false);
    expect(matches(session({ status: 'deleted' }), {})).toBe(false);
    expect(matches(session({ status: 'deleted' }), { status: 'all' })).toBe(true);
    expect(matches(session({ tags: ['a'] }), { tag: 'b' })).toBe(false);
  });

  test('what is new is counted once, where it would be in the list', () => {
    const created = item(1, {}, { payload: { template_id: 'firefox' } });
    expect(arrivals([created], {}, new Set())).toEqual(['one']);
    expect(arrivals([created], {}, new Set(['one']))).toEqual([]);
    expect(arrivals([item(2)], {}, new Set())).toEqual([]);
    expect(arrivals([created], { user_id: 'grace' }, new Set())).toEqual([]);
    expect(arrivals([created], { template_id: 'gimp' }, new Set())).toEqual([]);
  });

  test('one can go back where the server only goes on, also from an address that was opened', () => {
    const third = onwards(onwards(start, 'a'), 'b');
    expect([here(third), here(back(third)), here(back(back(third))), here(back(start))]).toEqual(['b', 'a', null, null]);
    expect(find(third, 'a')).toEqual([null, 'a']);
    expect(find(start, 'z')).toEqual([null, 'z']);
    expect(find(third, undefined)).toEqual(start);
  });
});

describe('events', () => {
  test('the newest are kept, once each, newest first', () => {
    const kept = push(push([], [item(1), item(2)], 3), [item(2), item(3), item(4)], 3);
    expect(kept.map((one) => one.id)).toEqual(['p4', 'p3', 'p2']);
  });

  test('subjects fit patterns as they do on NATS', () => {
    for (const [pattern, fit] of [['a.b.c', true], ['a.*.c', true], ['a.>', true], ['>', true], ['a.b', false], ['a.b.c.>', false], ['a.b.c.*', false], ['*.b', false]] as const) expect(matchesSubject('a.b.c', pattern), pattern).toBe(fit);
    expect(fits(item(1), { entity: 'session', kind: 'report' })).toBe(true);
    expect(fits(item(1), { entity: 'sess' })).toBe(false);
  });

  test('idle time is one line, and a page that was read twice is shown once', () => {
    const at = (seq: number, time: string) => ({ ...item(seq), id: seq, at: time, attempt: 1 }) as never;
    const entries = timeline([at(2, '2026-01-01T02:00:00Z'), at(1, '2026-01-01T00:00:00Z'), at(2, '2026-01-01T02:00:00Z')]);
    expect(entries.map((entry) => entry.type)).toEqual(['event', 'idle', 'event']);
    expect(entries[1]).toMatchObject({ ms: 7_200_000 });
  });

  test('the steps of a start are read off the log, and its usual time is the median of those before', () => {
    const command = (at: string) => ({ kind: 'command', subject: 'streamspace.session.wake.local.l-1', at, payload: {} }) as never;
    const report = (status: string, at: string) => ({ kind: 'report', subject: 'streamspace.session.status.local.l-1', at, payload: { status } }) as never;
    const log = [command('2026-01-01T00:00:00Z'), report('waking', '2026-01-01T00:00:01Z'), report('running', '2026-01-01T00:00:03Z')];
    expect(estimate(log)).toBe(3_000);
    expect(estimate([])).toBeNull();
    expect(steps(session({ status: 'running', controller_id: 'l-1' }), log).map((step) => step.state)).toEqual(['done', 'done', 'done', 'done']);
    expect(steps(session(), [command('2026-01-01T00:00:00Z')]).map((step) => step.state)).toEqual(['done', 'now', 'next', 'next']);
    expect(steps(session({ status: 'waking', controller_id: 'l-1' }), log.slice(0, 2)).at(2)?.state).toBe('now');
  });
});

describe('texts', () => {
  test('a difference is what goes and what comes', () => {
    expect(diff('a\nb\nc', 'a\nx\nc').map((line) => line.sign + line.text)).toEqual([' a', '-b', '+x', ' c']);
    expect(hex(btoa('{"a":1}'))).toMatch(/^000000 {2}7b 22 61 22 3a 31 7d\s+\{"a":1\}$/);
  });

  test('the line of a mistake is found by the words of the parser, or by the name of the field', () => {
    const yaml = 'kind: Template\nspec:\n  local:\n    command: 7\n';
    expect(lineOf(yaml, [{ field: 'spec.local.command', rule: 'must be a list', hint: '' }], '')).toBe(4);
    expect(lineOf(yaml, [], 'did not find expected key at line 3 column 2')).toBe(3);
    expect(lineOf(yaml, [{ field: 'other', rule: '', hint: '' }], '')).toBeNull();
  });

  test('plurals and values are filled in, and words that are not known are shown as they came', () => {
    expect(t('selection.some', { count: 1_234 })).toBe('1,234 selected');
    expect(t('letters.count', { count: 1 })).toBe('1 letter');
    expect([word('state', 'running'), word('state', 'brand_new')]).toEqual(['Running', 'brand new']);
  });

  test('times are relative to now', () => {
    const now = Date.parse('2026-01-01T00:10:00Z');
    expect(relative('2026-01-01T00:09:58Z', now)).toBe('just now');
    expect(relative('2026-01-01T00:05:00Z', now)).toBe('5m ago');
    expect(relative('2026-01-01T02:10:00Z', now)).toBe('in 2h');
  });

  test('what is asked for often is done once, and not more often than it may', () => {
    vi.useFakeTimers();
    let [ran, now] = [0, 0];
    const soon = new Soon(1_000, () => now);
    const ask = () => soon.ask('a', () => { ran += 1; });
    ask(); ask(); ask();
    vi.advanceTimersByTime(1);
    expect(ran).toBe(1);
    ask();
    vi.advanceTimersByTime(999);
    expect(ran).toBe(1);
    now = 1_000;
    vi.advanceTimersByTime(1);
    expect(ran).toBe(2);
    vi.useRealTimers();
  });
});
