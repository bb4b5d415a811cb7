/** All sessions: filtered and ordered by the server, all of it in the address, read as one scrolls, and patched by the feed in place. */
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import type { Session } from '~/api/generated/types.gen.ts';
import { listOf } from '~/live/list.ts';
import type { Filter } from '~/live/patch.ts';
import { after, before } from '~/live/window.ts';
import { t } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Button, Empty, PageHead, Shown } from '~/ui/kit.tsx';
import { useKeys } from '~/ui/keys.ts';
import { type Action, questionOfAll, questionOfPicked } from './bulk.tsx';
import { useColumns } from './columns.ts';
import { type Cursor, Table } from './table.tsx';
import { Filters } from './toolbar.tsx';

type Search = Filter & { sort?: string; cursor?: string; view?: string };

export function Sessions() {
  const navigate = useNavigate();
  const { sort, cursor, view, ...filter } = useSearch({ strict: false }) as Search;
  const key = JSON.stringify([filter, sort]);
  const list = useMemo(() => listOf(filter, sort), [key]);
  const shown = useSyncExternalStore(list.subscribe, () => list.state);
  const [columns, setColumns] = useColumns();
  const [chosen, setChosen] = useState<ReadonlyMap<string, Session>>(new Map());
  const [everything, setEverything] = useState(false);
  const [question, setQuestion] = useState<Question | null>(null);
  const [help, setHelp] = useState(false);
  const keyboard = useRef<Cursor>(null);
  useEffect(() => { void list.start(cursor); }, [list, cursor]);
  const clear = () => { setChosen(new Map()); setEverything(false); };
  useEffect(clear, [key]);

  const go = (search: Record<string, string | undefined>) => void navigate({ to: '/sessions', search: { ...filter, sort, ...search } as never });
  const onPage = (at: string | undefined) => {
    if (at !== cursor) void navigate({ to: '/sessions', search: { ...filter, sort, view, cursor: at } as never, replace: true, resetScroll: false });
  };
  const reload = () => { scrollTo(0, 0); void list.reload(); };
  const toggle = useCallback((session: Session) => {
    setEverything(false);
    setChosen((had) => {
      const now = new Map(had);
      if (!now.delete(session.session_id)) now.set(session.session_id, session);
      return now;
    });
  }, []);
  const { rows } = shown;
  const toggleAll = () => {
    setEverything(false);
    setChosen((had) => (rows.every((row) => had.has(row.session_id)) ? new Map() : new Map(rows.map((row) => [row.session_id, row]))));
  };
  const bulk = (action: Action) => setQuestion(everything ? questionOfAll(action, filter, shown.readAt ?? '', clear) : questionOfPicked(action, [...chosen.values()], clear));
  const withCurrent = (run: (session: Session) => void) => () => { const row = keyboard.current?.current(); if (row) run(row); };
  useKeys({
    '/': () => document.getElementById('filter-user')?.focus(),
    j: () => keyboard.current?.move(1),
    k: () => keyboard.current?.move(-1),
    x: withCurrent(toggle),
    o: withCurrent((row) => void navigate({ to: '/sessions/$id', params: { id: row.session_id } })),
    '?': () => setHelp((was) => !was),
  });
  const more = shown.list !== null && (after(shown.list) !== null || before(shown.list) !== null);
  return (
    <div className="page">
      <PageHead title={t('nav.sessions')} text={t('sessions.text')}>
        {shown.fresh > 0 && <button type="button" className="pill" onClick={reload}>{t('sessions.new', { count: shown.fresh })}</button>}
        <Link className="btn primary" to="/">{t('sessions.start')}</Link>
      </PageHead>
      <Filters filter={filter} sort={sort} view={view} go={go} columns={columns} setColumns={setColumns} />
      {help && <div className="note" role="status"><span><kbd>/</kbd> {t('keys.filter')} · <kbd>j</kbd> <kbd>k</kbd> {t('keys.move')} · <kbd>x</kbd> {t('keys.select')} · <kbd>o</kbd> {t('keys.open')} · <kbd>?</kbd> {t('keys.help')}</span></div>}
      <Shown query={{ data: shown.list ?? undefined, error: shown.error, refetch: () => void list.start(cursor) }} rows={8}>{(now) => rows.length === 0 && !more
        ? <Nothing filtered={Object.values(filter).some(Boolean)} />
        : <>
          <Table list={list} shown={shown} columns={columns} filter={filter} sort={sort} onSort={(by) => go({ sort: by, view })} chosen={chosen} everything={everything} toggle={toggle} toggleAll={toggleAll} onPage={onPage} cursor={keyboard} />
          <p className="small soft row"><span className="num">{more ? t('sessions.window', { first: now.offset + 1, last: now.offset + rows.length }) : t('sessions.count', { count: rows.length })}</span>{shown.loading && <span className="faint">{t('loading')}…</span>}</p>
          {(chosen.size > 0 || everything) && (
            <div className="selbar" role="region" aria-label={t('selection')}>
              <strong>{everything ? t('selection.filter') : t('selection.some', { count: chosen.size })}</strong>
              {more && !everything && rows.every((row) => chosen.has(row.session_id)) && <Button small onPress={() => setEverything(true)}>{t('selection.all')}</Button>}
              <span className="grow" />
              <Button small onPress={() => bulk('wake')}>{t('verb.wake')}</Button>
              <Button small onPress={() => bulk('hibernate')}>{t('verb.hibernate')}</Button>
              <Button small kind="danger" onPress={() => bulk('delete')}>{t('verb.delete')}</Button>
              <Button small kind="ghost" onPress={clear}>{t('selection.clear')}</Button>
            </div>
          )}
        </>}
      </Shown>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </div>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  if (filtered) return <Empty title="empty.matches" text="sessions.matches.text"><Link className="btn" to="/sessions">{t('act.clear')}</Link></Empty>;
  return <Empty title="sessions.none" text="sessions.none.text"><Link className="btn primary" to="/">{t('sessions.start')}</Link></Empty>;
}
