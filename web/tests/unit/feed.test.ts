import { describe, expect, test } from 'vitest';
import { Parser } from '~/feed/sse.ts';
import { type FeedState, type Happened, begin, next, pause } from '~/feed/state.ts';

describe('server-sent events', () => {
  const stream = 'retry: 1000\n: alive\nid: 1\n\nid: 2\ndata: {"a":\ndata: 1}\n\nevent: cut\nid: 3\ndata: {"reason":"slow"}\r\n\r\n';
  const whole = [
    { event: 'message', id: '1', data: '' },
    { event: 'message', id: '2', data: '{"a":\n1}' },
    { event: 'cut', id: '3', data: '{"reason":"slow"}' },
  ];

  test('a stream is read alike, wherever the network cuts it', () => {
    for (let size = 1; size <= stream.length; size += 1) {
      const parser = new Parser();
      const messages = Array.from({ length: Math.ceil(stream.length / size) }, (_, at) => parser.push(stream.slice(at * size, (at + 1) * size))).flat();
      expect(messages, `pieces of ${size}`).toEqual(whole);
    }
  });
});

describe('the state of the feed', () => {
  const after = (...happened: Happened[]): FeedState => happened.reduce(next, begin);

  test('it is live at once from now on, and catches up where it was before', () => {
    expect(after({ type: 'opened' }).phase).toBe('live');
    const again = after({ type: 'opened' }, { type: 'moved', position: 'a' }, { type: 'cut', reason: 'closed', position: null }, { type: 'retry' }, { type: 'opened' });
    expect(again).toMatchObject({ phase: 'catching_up', position: 'a', tries: 0 });
    expect(next(again, { type: 'quiet' }).phase).toBe('live');
  });

  test('what the server names as the place to go on is believed over what was seen last', () => {
    expect(after({ type: 'opened' }, { type: 'moved', position: 'a' }, { type: 'cut', reason: 'slow', position: 'b' })).toMatchObject({ phase: 'cut', position: 'b' });
  });

  test('a position that is gone is forgotten, however that is said, and stays visible until it is live again', () => {
    for (const lost of [{ type: 'cut', reason: 'gone', position: 'b' }, { type: 'failed', status: 410, reason: 'Gone' }] as Happened[]) {
      const state = after({ type: 'opened' }, { type: 'moved', position: 'a' }, lost);
      expect(state).toMatchObject({ phase: 'gone', position: null });
      expect(next(state, { type: 'retry' }).phase).toBe('gone');
      expect(next(next(state, { type: 'retry' }), { type: 'opened' }).phase).toBe('live');
    }
  });

  test('who is logged out is not told that the network is at fault', () => {
    expect(after({ type: 'failed', status: 401, reason: '' }).phase).toBe('logged_out');
  });

  test('pauses double to ten seconds and never reach a quarter more', () => {
    expect([1, 2, 3, 4, 5, 6, 20].map((tries) => pause(tries, 0))).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    expect(pause(20, 0.999)).toBeLessThan(12_500);
  });
});
