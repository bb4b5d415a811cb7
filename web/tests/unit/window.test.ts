import { describe, expect, test } from 'vitest';
import type { FeedItem, Session } from '~/api/generated/types.gen.ts';
import { NAME, VIEWS, parse, put, without } from '~/live/views.ts';
import { type ListWindow, PAGES, after, append, before, isAfter, loaded, open, pageAt, patch, prepend, rowsOf } from '~/live/window.ts';

const LENGTH = 5;
const row = (n: number, revision = 1): Session => ({ session_id: `s${n}`, revision, status: 'running', tags: [] }) as unknown as Session;

/** The page of a list of `total` rows that begins with row `from`. */
const page = (from: number, total = 1_000) => loaded(from === 0 ? undefined : `c${from}`, {
  items: Array.from({ length: Math.min(LENGTH, total - from) }, (_, at) => row(from + at)),
  prev_cursor: from === 0 ? null : `c${from - LENGTH}`, next_cursor: from + LENGTH < total ? `c${from + LENGTH}` : null, position: '1.1.1',
});
const walk = (list: ListWindow, pages: number): ListWindow => {
  let walked = list;
  for (let at = 0; at < pages; at += 1) walked = append(walked, page(Number(after(walked)?.slice(1))));
  return walked;
};
const ids = (list: ListWindow) => rowsOf(list).map((one) => one.session_id);

describe('a long list', () => {
  test('is in memory only in part, however far one scrolls, and each row keeps its index', () => {
    const far = walk(open(page(0)), 150);
    expect(far.pages.length).toBe(PAGES);
    expect(ids(far)[0]).toBe(`s${far.offset}`);
    expect(far.offset + rowsOf(far).length).toBe(151 * LENGTH);
  });

  test('is walked back to its beginning over the same rows, which stay where they are', () => {
    let list = walk(open(page(0)), 20);
    const begin = list.offset;
    for (let cursor = before(list); cursor; cursor = before(list)) {
      const back = prepend(list, page(Number(cursor.slice(1))));
      expect(back.shift, 'what was dropped had left its room').toBe(0);
      list = back.list;
      expect(ids(list)[0]).toBe(`s${list.offset}`);
    }
    expect([begin > 0, list.offset, list.pages.length]).toEqual([true, 0, PAGES]);
    expect(after(list), 'and forth again').toBe(`c${PAGES * LENGTH}`);
  });

  test('that was opened in its middle says how far its rows moved when pages come in above', () => {
    const first = prepend(open(page(50)), page(45));
    expect([first.shift, first.list.offset]).toEqual([LENGTH, 0]);
    expect(prepend(open(page(5)), page(0)).shift).toBe(LENGTH);
  });

  test('has each row once: one that is read again stays in its place, as the newer of both', () => {
    const again = { ...page(5), rows: [row(3, 9), row(4, 0), row(5), row(6)] };
    const list = append(open(page(0)), again);
    expect(ids(list)).toEqual(['s0', 's1', 's2', 's3', 's4', 's5', 's6']);
    expect(rowsOf(list).slice(3, 5).map((one) => one.revision)).toEqual([9, 1]);
  });

  test('is patched where its rows stand, and is the same where nothing is said about them', () => {
    const list = walk(open(page(0)), 2);
    const item = (entity: string): FeedItem => ({ entity, entity_seq: 2, changes: { status: 'failed' }, at: 'now', generation: 1 }) as unknown as FeedItem;
    expect(patch(list, [item('session:elsewhere')])).toBe(list);
    const after = patch(list, [item('session:s7')]);
    expect(rowsOf(after)[7]).toMatchObject({ session_id: 's7', status: 'failed', revision: 2 });
    expect([after.pages[0] === list.pages[0], after.pages[1] === list.pages[1]]).toEqual([true, false]);
  });

  test('knows the address of what is in sight', () => {
    const list = walk(open(page(0)), 20);
    expect([pageAt(list, list.offset + 7)?.cursor, pageAt(list, 9_999)?.cursor]).toEqual([`c${list.offset + LENGTH}`, 'c100']);
  });

  test('tells what came after it was read from what it has already', () => {
    expect(isAfter('2f1.1c.aa', '2f1.1b.ff')).toBe(true);
    expect(isAfter('2f1.1c.aa', '2f1.1c.bb')).toBe(false);
    expect(isAfter('2f0.ff.aa', '2f1.1.bb'), 'the transaction counts before the row').toBe(false);
    expect(isAfter('10.1.a', 'f.1.a'), 'they are numbers').toBe(true);
    expect(isAfter('unreadable', '1.1.1')).toBe(true);
  });
});

describe('saved views', () => {
  const view = (name: string) => ({ name, search: { status: 'failed' }, columns: ['status'] });

  test('are kept by name, so many and no more', () => {
    const many = Array.from({ length: VIEWS + 3 }, (_, at) => view(`v${at}`)).reduce(put, []);
    expect([many.length, many[0]?.name]).toEqual([VIEWS, 'v3']);
    expect(put([view('a')], { ...view(' a '), columns: [] })).toEqual([{ ...view('a'), columns: [] }]);
    expect(put([], view('x'.repeat(99)))[0]?.name.length).toBe(NAME);
    expect(without([view('a'), view('b')], 'a')).toEqual([view('b')]);
  });

  test('that cannot be read are left out', () => {
    expect(parse(JSON.stringify([view('a'), { name: 'b' }, null, 7, { ...view('c'), search: { status: 1 } }, { ...view(' ') }]))).toEqual([view('a')]);
    expect([parse(null), parse('{'), parse('{}')]).toEqual([[], [], []]);
  });
});
