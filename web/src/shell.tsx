/** The frame around every page: where one can go, whether the feed is live, and who is logged in. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { logOut } from './api/login.ts';
import { useFeedState } from './feed/react.ts';
import { who } from './gate.tsx';
import { causes } from './live/queries.ts';
import { type Key, t } from './text/index.ts';
import { Icon, type IconName } from './ui/icons.tsx';
import { Button, Problem } from './ui/kit.tsx';
import { type Theme, choose, theme } from './ui/theme.ts';
import { Toasts } from './ui/toast.tsx';

const PLACES: [Key | null, [string, IconName, Key][]][] = [
  [null, [['/', 'launch', 'nav.launchpad'], ['/sessions', 'sessions', 'nav.sessions']]],
  ['nav.catalog', [['/templates', 'templates', 'nav.templates'], ['/applications', 'apps', 'nav.applications']]],
  ['nav.operate', [['/controllers', 'controllers', 'nav.controllers'], ['/queue', 'queue', 'nav.queue'], ['/jobs', 'jobs', 'nav.jobs'], ['/events', 'events', 'nav.events'], ['/dead-letters', 'letters', 'nav.letters'], ['/doctor', 'doctor', 'nav.doctor']]],
];

export function Shell() {
  const [open, setOpen] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setOpen(false), [path]);
  const letters = useQuery(causes({ status: 'open' }));
  const waiting = letters.data?.items.reduce((sum, cause) => sum + cause.open, 0) ?? 0;
  return (
    <div className="shell">
      <header className="side" data-open={open}>
        <div className="top">
          <Link to="/" className="brand"><img src="favicon.svg" alt="" />StreamSpace</Link>
          <span className="menu-toggle"><Button icon kind="ghost" aria-label={t('nav.menu')} aria-expanded={open} onPress={() => setOpen(!open)}><Icon name="menu" /></Button></span>
        </div>
        <nav aria-label={t('nav.label')}>
          {PLACES.map(([section, places]) => (
            <div key={section ?? 'first'}>
              {section && <div className="section">{t(section)}</div>}
              {places.map(([to, icon, text]) => (
                <Link key={to} to={to} activeOptions={{ exact: to === '/', includeSearch: false }}>
                  <Icon name={icon} />{t(text)}
                  {to === '/dead-letters' && waiting > 0 && <span className="count alert" title={t('letters.open', { count: waiting })}>{waiting}</span>}
                </Link>
              ))}
            </div>
          ))}
        </nav>
        <Foot />
      </header>
      <div className="main">
        <FeedStrip />
        <main style={{ display: 'contents' }}><Outlet /></main>
      </div>
      <Toasts />
    </div>
  );
}

function Foot() {
  const queries = useQueryClient();
  const me = useQuery(who);
  const state = useFeedState();
  const [chosen, setChosen] = useState<Theme>(theme());
  const [error, setError] = useState<unknown>(null);
  const leave = () => void logOut().then(() => {
    queries.clear();
    location.assign(document.baseURI);
  }, setError);
  return (
    <div className="foot">
      <div className="feed" data-state={state.phase} role="status"><span className="dot" aria-hidden="true" />{t(`feed.${state.phase}`)}</div>
      <label className="row small" style={{ padding: '0 8px' }}><Icon name="theme" /><span className="visually-hidden">{t('theme')}</span>
        <select className="select grow" value={chosen} onChange={(event) => { const to = event.target.value as Theme; choose(to); setChosen(to); }}>
          <option value="system">{t('theme.system')}</option><option value="light">{t('theme.light')}</option><option value="dark">{t('theme.dark')}</option>
        </select>
      </label>
      <div className="row small" style={{ padding: '0 8px' }}>
        <span className="grow ellipsis" title={me.data?.role ?? ''}>{me.data?.name}<span className="faint"> · {me.data?.version}</span></span>
        <Button small kind="ghost" onPress={leave}>{t('logout')}</Button>
      </div>
      <a className="small" style={{ padding: '0 8px' }} href="docs" target="_blank" rel="noreferrer">{t('nav.reference')}</a>
      {error !== null && <Problem error={error} />}
    </div>
  );
}

function FeedStrip() {
  const { phase, tries } = useFeedState();
  if (phase === 'gone') return <div className="strip" role="status">{t('feed.gone.text')}</div>;
  if (phase !== 'cut' || tries < 1) return null;
  return <div className="strip" role="status">{t('feed.cut.text')}</div>;
}
