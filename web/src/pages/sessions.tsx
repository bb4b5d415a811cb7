/** All sessions: filtered and ordered by the server, all of it in the address, patched by the feed where they stand. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { Session, SessionsBulk } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { useFeedItems } from '~/feed/react.ts';
import { back, find, here, onwards, start, type Trail } from '~/live/cursors.ts';
import { type Filter, arrivals, matches } from '~/live/patch.ts';
import { cache, platforms, sessions, templates } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Badge, Button, ButtonLink, Empty, PageHead, Pager, Pick, Shown, Time, short } from '~/ui/kit.tsx';
import { useKeys } from '~/ui/keys.ts';
import { say } from '~/ui/toast.tsx';
import { store, stored } from '~/ui/theme.ts';
import { change, deletion, verbs, why } from './actions.tsx';

type Search = Filter & { sort?: string; cursor?: string };
const STATES = ['pending', 'creating', 'running', 'hibernating', 'hibernated', 'waking', 'deleting', 'failed', 'deleted', 'all'];
const COLUMNS = ['status', 'user', 'platform', 'controller', 'created', 'changed'] as const;
type Column = (typeof COLUMNS)[number];
const KEY = 'streamspace.sessions.columns';

export function Sessions() {
  const navigate = useNavigate();
  const { sort, cursor, ...filter } = useSearch({ strict: false }) as Search;
  const [trail, setTrail] = useState<Trail>(() => find(start, cursor));
  useEffect(() => setTrail((before) => find(before, cursor)), [cursor]);
  const query = useQuery(sessions({ ...filter, sort, cursor }));
  const rows = query.data?.items ?? [];
  const [columns, setColumns] = useColumns();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [everything, setEverything] = useState(false);
  const [current, setCurrent] = useState(-1);
  const [question, setQuestion] = useState<Question | null>(null);
  const [help, setHelp] = useState(false);
  const key = JSON.stringify({ filter, sort, cursor });
  const fresh = useArrivals(filter, rows, key);
  useEffect(() => { setChosen(new Set()); setEverything(false); setCurrent(-1); }, [key]);

  const go = (search: Partial<Search>) => void navigate({ to: '/sessions', search: { ...filter, sort, cursor: undefined, ...search } as never });
  const to = (next: Trail) => { setTrail(next); go({ cursor: here(next) ?? undefined }); };
  const reload = () => { fresh.clear(); void cache.invalidateQueries({ queryKey: ['sessions'] }); if (cursor) to(start); };
  const toggle = (id: string) => setChosen((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    setEverything(false);
    return after;
  });
  const picked = rows.filter((row) => chosen.has(row.session_id));
  const bulk = (action: SessionsBulk['action']) => setQuestion(question_of(action, everything ? null : picked, filter, () => { setChosen(new Set()); setEverything(false); }));

  useKeys({
    '/': () => document.getElementById('filter-user')?.focus(),
    j: () => setCurrent((at) => Math.min(at + 1, rows.length - 1)),
    k: () => setCurrent((at) => Math.max(at - 1, 0)),
    x: () => { const row = rows[current]; if (row) toggle(row.session_id); },
    o: () => { const row = rows[current]; if (row) void navigate({ to: '/sessions/$id', params: { id: row.session_id } }); },
    '?': () => setHelp((shown) => !shown),
  });
  useEffect(() => { document.querySelector('tr.current')?.scrollIntoView({ block: 'nearest' }); }, [current]);
  const filtered = Object.values(filter).some(Boolean);

  return (
    <div className="page">
      <PageHead title={t('nav.sessions')} text={t('sessions.text')}>
        {fresh.count > 0 && <button type="button" className="pill" onClick={reload}>{t('sessions.new', { count: fresh.count })}</button>}
        <Link className="btn primary" to="/">{t('sessions.start')}</Link>
      </PageHead>
      <Filters filter={filter} go={go} columns={columns} setColumns={setColumns} />
      {help && <div className="note" role="status"><span><kbd>/</kbd> {t('keys.filter')} · <kbd>j</kbd> <kbd>k</kbd> {t('keys.move')} · <kbd>x</kbd> {t('keys.select')} · <kbd>o</kbd> {t('keys.open')} · <kbd>?</kbd> {t('keys.help')}</span></div>}
      <Shown query={query} rows={8}>{(page) => page.items.length === 0
        ? filtered ? <Empty title="empty.matches" text="sessions.matches.text"><Button onPress={() => void navigate({ to: '/sessions', search: {} as never })}>{t('act.clear')}</Button></Empty>
          : <Empty title="sessions.none" text="sessions.none.text"><Link className="btn primary" to="/">{t('sessions.start')}</Link></Empty>
        : <>
          <Table rows={page.items} columns={columns} filter={filter} sort={sort} go={go} chosen={chosen} everything={everything} current={current} toggle={toggle} all={() => { setEverything(false); setChosen((before) => before.size === page.items.length ? new Set() : new Set(page.items.map((row) => row.session_id))); }} />
          <Pager first={trail.length === 1} next={!!page.next_cursor} onFirst={() => to(start)} onBack={() => to(back(trail))} onNext={() => page.next_cursor && to(onwards(trail, page.next_cursor))}>
            <span>{t('sessions.page', { count: page.items.length, page: trail.length })}</span>
          </Pager>
          {chosen.size > 0 && (
            <div className="selbar" role="region" aria-label={t('selection')}>
              <strong>{everything ? t('selection.filter') : t('selection.some', { count: chosen.size })}</strong>
              {chosen.size === page.items.length && (page.next_cursor || trail.length > 1) && !everything && <Button small onPress={() => setEverything(true)}>{t('selection.all')}</Button>}
              <span className="grow" />
              <Button small onPress={() => bulk('wake')}>{t('verb.wake')}</Button>
              <Button small onPress={() => bulk('hibernate')}>{t('verb.hibernate')}</Button>
              <Button small kind="danger" onPress={() => bulk('delete')}>{t('verb.delete')}</Button>
              <Button small kind="ghost" onPress={() => { setChosen(new Set()); setEverything(false); }}>{t('selection.clear')}</Button>
            </div>
          )}
        </>}
      </Shown>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </div>
  );
}

/** How many sessions have come that would be in this list, and are not on the page. */
function useArrivals(filter: Filter, rows: Session[], key: string): { count: number; clear: () => void } {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const known = useRef<ReadonlySet<string>>(new Set());
  known.current = useMemo(() => new Set(rows.map((row) => row.session_id)), [rows]);
  useEffect(() => setIds(new Set()), [key]);
  useFeedItems((items) => {
    const found = arrivals(items, filter, known.current);
    if (found.length > 0) setIds((before) => new Set([...before, ...found]));
  });
  return { count: [...ids].filter((id) => !known.current.has(id)).length, clear: () => setIds(new Set()) };
}

function useColumns(): [ReadonlySet<Column>, (columns: ReadonlySet<Column>) => void] {
  const [columns, set] = useState<ReadonlySet<Column>>(() => new Set(((stored(KEY)?.split(',') ?? ['status', 'user', 'platform', 'created']) as Column[]).filter((name) => COLUMNS.includes(name))));
  return [columns, (next) => { store(KEY, [...next].join(',')); set(next); }];
}

function Filters({ filter, go, columns, setColumns }: { filter: Filter; go: (search: Partial<Search>) => void; columns: ReadonlySet<Column>; setColumns: (columns: ReadonlySet<Column>) => void }) {
  const places = useQuery(platforms);
  const catalog = useQuery(templates);
  const [user, setUser] = useState(filter.user_id ?? '');
  useEffect(() => setUser(filter.user_id ?? ''), [filter.user_id]);
  return (
    <div className="toolbar">
      <form className="search" style={{ flex: '0 1 180px' }} onSubmit={(event) => { event.preventDefault(); go({ user_id: user || undefined }); }}>
        <input id="filter-user" className="input" style={{ paddingLeft: 10 }} aria-label={t('filter.user')} placeholder={t('filter.user')} value={user} onChange={(event) => setUser(event.target.value)} onBlur={() => { if (user !== (filter.user_id ?? '')) go({ user_id: user || undefined }); }} />
      </form>
      <Pick label={t('filter.status')} all={t('filter.living')} value={filter.status} onChange={(status) => go({ status })} options={STATES.map((state) => [state, word('state', state)])} />
      <Pick label={t('filter.platform')} value={filter.platform} onChange={(platform) => go({ platform })} options={(places.data?.items ?? []).map((place) => place.platform)} />
      <Pick label={t('filter.template')} value={filter.template_id} onChange={(template_id) => go({ template_id })} options={(catalog.data?.items ?? []).map((template) => template.name)} />
      {filter.tag && <button type="button" className="chip" aria-pressed="true" onClick={() => go({ tag: undefined })}>{t('filter.tag', { tag: filter.tag })} ×</button>}
      {filter.controller_id && <button type="button" className="chip" aria-pressed="true" onClick={() => go({ controller_id: undefined })}>{filter.controller_id} ×</button>}
      <span className="grow" />
      <details className="hide-s small" style={{ position: 'relative' }}>
        <summary>{t('columns')}</summary>
        <div className="pop stack s" style={{ position: 'absolute', right: 0, zIndex: 5, padding: 12 }}>
          {COLUMNS.map((name) => <label key={name} className="row"><input type="checkbox" className="check" checked={columns.has(name)} onChange={(event) => { const next = new Set(columns); if (event.target.checked) next.add(name); else next.delete(name); setColumns(next); }} />{t(`column.${name}`)}</label>)}
        </div>
      </details>
    </div>
  );
}

interface TableProps { rows: Session[]; columns: ReadonlySet<Column>; filter: Filter; sort: string | undefined; go: (search: Partial<Search>) => void; chosen: ReadonlySet<string>; everything: boolean; current: number; toggle: (id: string) => void; all: () => void }

function Table({ rows, columns, filter, sort, go, chosen, everything, current, toggle, all }: TableProps) {
  const navigate = useNavigate();
  const order = sort ?? '-created_at';
  const head = (name: 'created_at' | 'user_id', text: string) => {
    const direction = order === name ? 'ascending' : order === `-${name}` ? 'descending' : 'none';
    return <th className="hide-s" aria-sort={direction}><button type="button" className="sort" onClick={() => go({ sort: order === `-${name}` ? name : `-${name}` })}>{text}{direction === 'ascending' ? ' ↑' : direction === 'descending' ? ' ↓' : ''}</button></th>;
  };
  return (
    <div className="table-wrap">
      <table aria-label={t('nav.sessions')}>
        <thead><tr>
          <th style={{ width: 36 }}><input type="checkbox" className="check" aria-label={t('selection.page')} checked={everything || (chosen.size > 0 && chosen.size === rows.length)} ref={(box) => { if (box) box.indeterminate = !everything && chosen.size > 0 && chosen.size < rows.length; }} onChange={all} /></th>
          <th>{t('column.session')}</th>
          {columns.has('status') && <th>{t('column.status')}</th>}
          {columns.has('user') && head('user_id', t('column.user'))}
          {columns.has('platform') && <th className="hide-s">{t('column.platform')}</th>}
          {columns.has('controller') && <th className="hide-s">{t('column.controller')}</th>}
          {columns.has('created') && head('created_at', t('column.created'))}
          {columns.has('changed') && <th>{t('column.changed')}</th>}
          <th><span className="visually-hidden">{t('column.actions')}</span></th>
        </tr></thead>
        <tbody>{rows.map((row, at) => {
          const id = row.session_id;
          const gone = !matches(row, filter);
          const reason = why(row);
          return (
            <tr key={id} className={['link', at === current && 'current', (everything || chosen.has(id)) && 'selected', gone && 'moved'].filter(Boolean).join(' ')} title={gone ? t('sessions.moved') : undefined}
              onClick={(event) => { if (!(event.target as HTMLElement).closest('a, button, input')) void navigate({ to: '/sessions/$id', params: { id } }); }}>
              <td><input type="checkbox" className="check" aria-label={t('selection.one', { name: short(id) })} checked={everything || chosen.has(id)} onChange={() => toggle(id)} /></td>
              <td><Link to="/sessions/$id" params={{ id }} className="strong" style={{ color: 'inherit' }}>{row.template_id}</Link> <span className="mono tiny faint" title={id}>{short(id)}</span>{reason && <div className="sub break">{reason}</div>}</td>
              {columns.has('status') && <td><Badge of={row.status} /></td>}
              {columns.has('user') && <td className="hide-s">{row.user_id}</td>}
              {columns.has('platform') && <td className="hide-s">{row.platform}</td>}
              {columns.has('controller') && <td className="hide-s">{row.controller_id ?? <span className="faint">–</span>}</td>}
              {columns.has('created') && <td className="hide-s"><Time at={row.created_at} /></td>}
              {columns.has('changed') && <td><Time at={row.updated_at} /></td>}
              <td style={{ textAlign: 'right' }}>{verbs(row).includes('open') && (row.status === 'running' && row.url ? <ButtonLink small external href={row.url}>{t('verb.open')}</ButtonLink> : <Link className="btn small" to="/open/$id" params={{ id }}>{t('verb.open')}</Link>)}</td>
            </tr>
          );
        })}</tbody>
      </table>
    </div>
  );
}

/** Some are asked for one by one; everything that matches is a job on the server: a filter and a time, not what is loaded. */
function question_of(action: SessionsBulk['action'], picked: Session[] | null, filter: Filter, done: () => void): Question {
  if (picked) {
    if (action === 'delete') { const asked = deletion(picked); return { ...asked, run: (reason) => asked.run(reason).then(done) }; }
    return {
      title: t(`bulk.${action}.title`, { count: picked.length }), names: picked.map((row) => `${row.template_id} · ${row.user_id} · ${short(row.session_id)}`), act: t(`verb.${action}`),
      run: async () => {
        const ended = await Promise.allSettled(picked.map((row) => change(action as 'wake' | 'hibernate', row.session_id)));
        const refused = ended.filter((one) => one.status === 'rejected').length;
        if (refused > 0) say(t('bulk.refused', { count: refused }));
        done();
      },
    };
  }
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  const narrowed = Object.keys(given).length > 0;
  return {
    title: t(`bulk.${action}.filter`), danger: action === 'delete', act: t('bulk.act'), text: t('bulk.text'),
    names: narrowed ? Object.entries(given).map(([name, value]) => `${name.replace('_id', '')}: ${value}`) : [t('bulk.all')],
    run: async () => {
      const job = await ask(api.bulkSessions({ body: { action, filter: narrowed ? given : { all: true } } as SessionsBulk, headers: once() }));
      done();
      say(<>{t('bulk.begun')} <Link to="/jobs/$id" params={{ id: job.job_id }}>{t('bulk.watch')}</Link></>);
    },
  };
}
