/** Filters, saved views and what the list shows. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Filter } from '~/live/patch.ts';
import { platforms, templates } from '~/live/queries.ts';
import { NAME, type View, put, saveViews, savedViews, without } from '~/live/views.ts';
import { t, word } from '~/text/index.ts';
import { Button, Pick } from '~/ui/kit.tsx';
import { keysAreOn, switchKeys } from '~/ui/keys.ts';
import { COLUMNS, type Columns, columnsOf } from './columns.ts';

const STATES = ['pending', 'creating', 'running', 'hibernating', 'hibernated', 'waking', 'deleting', 'failed', 'deleted', 'all'];

export interface Toolbar {
  filter: Filter;
  sort: string | undefined;
  view: string | undefined;
  go: (search: Record<string, string | undefined>) => void;
  columns: Columns;
  setColumns: (columns: Columns) => void;
}

export function Filters({ filter, sort, view, go, columns, setColumns }: Toolbar) {
  const places = useQuery(platforms);
  const catalog = useQuery(templates);
  const [user, setUser] = useState(filter.user_id ?? '');
  useEffect(() => setUser(filter.user_id ?? ''), [filter.user_id]);
  const filterUser = () => { if (user !== (filter.user_id ?? '')) go({ user_id: user || undefined }); };
  return (
    <div className="toolbar">
      <form className="filter-user" onSubmit={(event) => { event.preventDefault(); filterUser(); }}>
        <input id="filter-user" className="input" aria-label={t('filter.user')} placeholder={t('filter.user')} value={user} onChange={(event) => setUser(event.target.value)} onBlur={filterUser} />
      </form>
      <Pick label={t('filter.status')} all={t('filter.living')} value={filter.status} onChange={(status) => go({ status })} options={STATES.map((state) => [state, word('state', state)])} />
      <Pick label={t('filter.platform')} value={filter.platform} onChange={(platform) => go({ platform })} options={(places.data?.items ?? []).map((place) => place.platform)} />
      <Pick label={t('filter.template')} value={filter.template_id} onChange={(template_id) => go({ template_id })} options={(catalog.data?.items ?? []).map((template) => template.name)} />
      {filter.tag && <button type="button" className="chip" aria-pressed="true" onClick={() => go({ tag: undefined })}>{t('filter.tag', { tag: filter.tag })} ×</button>}
      {filter.controller_id && <button type="button" className="chip" aria-pressed="true" onClick={() => go({ controller_id: undefined })}>{filter.controller_id} ×</button>}
      <span className="grow" />
      <Views search={{ ...filter, sort }} current={view} columns={columns} setColumns={setColumns} />
      <Display columns={columns} setColumns={setColumns} />
    </div>
  );
}

/** Something that is opened below its name, and closed by a click elsewhere or Escape. */
function Drop({ name, children }: { name: ReactNode; children: (close: () => void) => ReactNode }) {
  const box = useRef<HTMLDetailsElement>(null);
  const close = () => { if (box.current) box.current.open = false; };
  useEffect(() => {
    const elsewhere = (event: PointerEvent) => { if (!box.current?.contains(event.target as Node)) close(); };
    addEventListener('pointerdown', elsewhere);
    return () => removeEventListener('pointerdown', elsewhere);
  }, []);
  return (
    <details ref={box} className="drop" onKeyDown={(event) => { if (event.key === 'Escape') { close(); box.current?.querySelector('summary')?.focus(); } }}>
      <summary>{name}</summary>
      <div className="pop stack s">{children(close)}</div>
    </details>
  );
}

function Views({ search, current, columns, setColumns }: { search: Record<string, string | undefined>; current: string | undefined; columns: Columns; setColumns: (columns: Columns) => void }) {
  const [views, setViews] = useState<View[]>(savedViews);
  const [name, setName] = useState('');
  const keep = (next: View[]) => { saveViews(next); setViews(next); };
  const given = Object.fromEntries(Object.entries(search).filter((pair): pair is [string, string] => !!pair[1]));
  const save = () => {
    if (name.trim() === '') return;
    keep(put(views, { name, search: given, columns: [...columns] }));
    setName('');
  };
  return (
    <Drop name={current ?? t('views')}>{(close) => <>
      {views.length === 0 && <p className="small soft">{t('views.none')}</p>}
      <ul>{views.map((view) => (
        <li key={view.name} className="row">
          <Link className={`grow ellipsis ${view.name === current ? 'strong' : ''}`} to="/sessions" search={{ ...view.search, view: view.name } as never} onClick={() => { setColumns(columnsOf(view.columns)); close(); }}>{view.name}</Link>
          <Button small kind="ghost" aria-label={t('views.delete', { name: view.name })} onPress={() => keep(without(views, view.name))}>×</Button>
        </li>
      ))}</ul>
      <form className="row" onSubmit={(event) => { event.preventDefault(); save(); }}>
        <input className="input grow" aria-label={t('views.name')} placeholder={t('views.name')} maxLength={NAME} value={name} onChange={(event) => setName(event.target.value)} />
        <Button type="submit" small isDisabled={name.trim() === ''}>{t('views.save')}</Button>
      </form>
      <p className="tiny faint">{t('views.hint')}</p>
    </>}</Drop>
  );
}

function Display({ columns, setColumns }: { columns: Columns; setColumns: (columns: Columns) => void }) {
  const [keys, setKeys] = useState(keysAreOn);
  const toggle = (name: (typeof COLUMNS)[number], on: boolean) => {
    const next = new Set(columns);
    if (on) next.add(name);
    else next.delete(name);
    setColumns(next);
  };
  return (
    <Drop name={t('display')}>{() => <>
      <div className="hide-s stack s" role="group" aria-label={t('columns')}>
        <span className="tiny faint">{t('columns')}</span>
        {COLUMNS.map((name) => <label key={name} className="row small"><input type="checkbox" className="check" checked={columns.has(name)} onChange={(event) => toggle(name, event.target.checked)} />{t(`column.${name}`)}</label>)}
      </div>
      <label className="row small"><input type="checkbox" className="check" checked={keys} onChange={(event) => { switchKeys(event.target.checked); setKeys(event.target.checked); }} />{t('keys')}</label>
      <p className="tiny faint">{t('keys.hint')}</p>
    </>}</Drop>
  );
}
