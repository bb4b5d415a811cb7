/**
 * The rows of the list. Only those in sight are drawn, each as high as any other, so that neither a patch nor a page that comes or goes
 * moves what one looks at. A native table: the library's grid takes letters for its type-ahead, which are this page's shortcuts.
 */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { Link, useNavigate } from '@tanstack/react-router';
import { memo, useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, type Ref } from 'react';
import type { Session } from '~/api/generated/types.gen.ts';
import type { SessionList, Shown } from '~/live/list.ts';
import { type Filter, matches } from '~/live/patch.ts';
import { after, before, pageAt } from '~/live/window.ts';
import { t } from '~/text/index.ts';
import { Badge, ButtonLink, Time, short } from '~/ui/kit.tsx';
import { verbs, why } from '../actions.tsx';
import type { Columns } from './columns.ts';

/** Heights of a row and of the head; `design/base.css` has the same. */
const ROW = 52;
const HEAD = 36;
/** A page is read when the end of those in memory is so many rows away. */
const AHEAD = 40;

/** What the keys do with the rows. */
export interface Cursor { move(by: number): void; current(): Session | undefined }

interface TableProps {
  list: SessionList;
  shown: Shown;
  columns: Columns;
  filter: Filter;
  sort: string | undefined;
  onSort: (sort: string) => void;
  chosen: ReadonlyMap<string, Session>;
  everything: boolean;
  toggle: (session: Session) => void;
  toggleAll: () => void;
  /** The page that is in sight, by its cursor. */
  onPage: (cursor: string | undefined) => void;
  cursor: Ref<Cursor>;
}

export function Table({ list, shown, columns, filter, sort, onSort, chosen, everything, toggle, toggleAll, onPage, cursor }: TableProps) {
  const navigate = useNavigate();
  const box = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  const [current, setCurrent] = useState<string | null>(null);
  useLayoutEffect(() => setMargin((box.current?.getBoundingClientRect().top ?? 0) + window.scrollY));
  const { rows } = shown;
  const offset = shown.list?.offset ?? 0;
  const virtual = useWindowVirtualizer({ count: offset + rows.length, estimateSize: () => ROW, overscan: 10, scrollMargin: margin + HEAD, scrollPaddingStart: HEAD + 8, scrollPaddingEnd: 80 });
  const drawn = virtual.getVirtualItems();
  const [first, last] = [drawn[0]?.index ?? 0, drawn.at(-1)?.index ?? 0];

  const moves = useRef(shown.moves);
  useLayoutEffect(() => { // what came in above pushes everything down: so does the view
    if (moves.current !== shown.moves && shown.shift !== 0) scrollBy(0, shown.shift * ROW);
    moves.current = shown.moves;
  }, [shown.moves, shown.shift]);

  const [settled, setSettled] = useState(false);
  useEffect(() => { // first the browser goes back to where it was: until then the top is not what one looks at
    const timer = setTimeout(() => setSettled(true), 150);
    return () => clearTimeout(timer);
  }, []);

  useEffect(() => {
    if (!settled || !shown.list || shown.loading || shown.error) return;
    if (first === 0 && offset > rows.length) void list.start(undefined); // one jumped to the very top
    else if (first < offset + AHEAD && before(shown.list)) void list.more('before');
    else if (last > offset + rows.length - AHEAD && after(shown.list)) void list.more('after');
  }, [settled, list, shown, first, last, offset, rows.length]);

  const top = first + 10;
  useEffect(() => {
    if (!settled || !shown.list) return;
    const page = pageAt(shown.list, top);
    const timer = setTimeout(() => onPage(page?.cursor), 400);
    return () => clearTimeout(timer);
  }, [settled, shown.list, top]);

  useImperativeHandle(cursor, () => ({
    current: () => rows.find((row) => row.session_id === current),
    move: (by) => {
      const at = rows.findIndex((row) => row.session_id === current);
      const to = at < 0 ? Math.max(0, first - offset) : Math.min(rows.length - 1, Math.max(0, at + by));
      setCurrent(rows[to]?.session_id ?? null);
      virtual.scrollToIndex(offset + to, { align: 'auto' });
    },
  }));

  const open = useCallback((id: string) => void navigate({ to: '/sessions/$id', params: { id } }), [navigate]);
  const order = sort ?? '-created_at';
  const head = (name: 'created_at' | 'user_id', text: string) => {
    const direction = order === name ? 'ascending' : order === `-${name}` ? 'descending' : 'none';
    return <th className={`hide-s c-${name === 'created_at' ? 'time' : 'name'}`} aria-sort={direction}><button type="button" className="sort" onClick={() => onSort(order === `-${name}` ? name : `-${name}`)}>{text}{direction === 'ascending' ? ' ↑' : direction === 'descending' ? ' ↓' : ''}</button></th>;
  };
  const all = everything || (rows.length > 0 && rows.every((row) => chosen.has(row.session_id)));
  const width = 3 + columns.size;
  const start = (drawn[0]?.start ?? margin + HEAD) - margin - HEAD;
  const end = virtual.getTotalSize() - ((drawn.at(-1)?.end ?? margin + HEAD) - margin - HEAD);
  return (
    <div className="table-wrap rows" ref={box}>
      <table aria-label={t('nav.sessions')} aria-rowcount={shown.list && after(shown.list) ? -1 : offset + rows.length + 1}>
        <thead><tr aria-rowindex={1}>
          <th className="c-check"><input type="checkbox" className="check" aria-label={t('selection.page')} checked={all} ref={(one) => { if (one) one.indeterminate = !all && chosen.size > 0; }} onChange={toggleAll} /></th>
          <th>{t('column.session')}</th>
          {columns.has('status') && <th className="c-status">{t('column.status')}</th>}
          {columns.has('user') && head('user_id', t('column.user'))}
          {columns.has('platform') && <th className="hide-s c-name">{t('column.platform')}</th>}
          {columns.has('controller') && <th className="hide-s c-name">{t('column.controller')}</th>}
          {columns.has('created') && head('created_at', t('column.created'))}
          {columns.has('changed') && <th className="hide-s c-time">{t('column.changed')}</th>}
          <th className="hide-s c-act"><span className="visually-hidden">{t('column.actions')}</span></th>
        </tr></thead>
        <tbody>
          {start > 0 && <tr aria-hidden="true" className="room"><td colSpan={width} style={{ height: start }} /></tr>}
          {drawn.map(({ index }) => {
            const row = rows[index - offset];
            if (!row) return <tr key={index} aria-hidden="true" className="room"><td colSpan={width} style={{ height: ROW }}><div className="skeleton" /></td></tr>;
            return <Row key={row.session_id} row={row} index={index} columns={columns} gone={!matches(row, filter)} picked={everything || chosen.has(row.session_id)} current={row.session_id === current} toggle={toggle} open={open} />;
          })}
          {end > 0 && <tr aria-hidden="true" className="room"><td colSpan={width} style={{ height: end }} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps { row: Session; index: number; columns: Columns; gone: boolean; picked: boolean; current: boolean; toggle: (session: Session) => void; open: (id: string) => void }

const Row = memo(function Row({ row, index, columns, gone, picked, current, toggle, open }: RowProps) {
  const id = row.session_id;
  const reason = why(row);
  return (
    <tr aria-rowindex={index + 2} className={['link', current && 'current', picked && 'selected', gone && 'moved'].filter(Boolean).join(' ')} title={gone ? t('sessions.moved') : undefined}
      onClick={(event) => { if (!(event.target as HTMLElement).closest('a, button, input')) open(id); }}>
      <td className="c-check"><input type="checkbox" className="check" aria-label={t('selection.one', { name: short(id) })} checked={picked} onChange={() => toggle(row)} /></td>
      <td><div className="ellipsis"><Link to="/sessions/$id" params={{ id }} className="strong" style={{ color: 'inherit' }}>{row.template_id}</Link> <span className="mono tiny faint" title={id}>{short(id)}</span></div>{reason && <div className="sub ellipsis" title={reason}>{reason}</div>}</td>
      {columns.has('status') && <td className="c-status"><Badge of={row.status} /></td>}
      {columns.has('user') && <td className="hide-s ellipsis" title={row.user_id}>{row.user_id}</td>}
      {columns.has('platform') && <td className="hide-s ellipsis">{row.platform}</td>}
      {columns.has('controller') && <td className="hide-s ellipsis" title={row.controller_id ?? undefined}>{row.controller_id ?? <span className="faint">–</span>}</td>}
      {columns.has('created') && <td className="hide-s"><Time at={row.created_at} /></td>}
      {columns.has('changed') && <td className="hide-s"><Time at={row.updated_at} /></td>}
      <td className="hide-s c-act">{verbs(row).includes('open') && (row.status === 'running' && row.url ? <ButtonLink small external href={row.url}>{t('verb.open')}</ButtonLink> : <Link className="btn small" to="/open/$id" params={{ id }}>{t('verb.open')}</Link>)}</td>
    </tr>
  );
});
