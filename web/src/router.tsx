/** Which page is at which address. What a page shows (filters, order, place) is in its address, too. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import { base } from './api/http.ts';
import { Shell } from './shell.tsx';
import { t } from './text/index.ts';
import { PageHead, Problem } from './ui/kit.tsx';
import { Launchpad } from './pages/launchpad.tsx';

type Search = Record<string, string | undefined>;
/** Texts of the query; everything else is left out. Numbers and the like came from texts that look like them. */
const texts = (...names: string[]) => (search: Record<string, unknown>): Search =>
  Object.fromEntries(names.flatMap((name) => {
    const value = search[name];
    return value === undefined || value === null || value === '' || typeof value === 'object' ? [] : [[name, String(value)]];
  }));

const root = createRootRoute({ component: Shell, notFoundComponent: () => <div className="page"><PageHead title={t('missing')} text={t('missing.text')} /></div> });
const page = <const Path extends string>(path: Path, load: () => Promise<Record<string, unknown>>, name: string, ...search: string[]) =>
  createRoute({ getParentRoute: () => root, path, validateSearch: texts(...search), component: lazyRouteComponent(load as never, name as never) as never });

const FILTER = ['user_id', 'status', 'platform', 'controller_id', 'template_id', 'tag', 'sort', 'cursor', 'view'];
const LETTERS = ['status', 'reason', 'platform', 'controller_id', 'fingerprint', 'q', 'cursor'];
const routes = [
  createRoute({ getParentRoute: () => root, path: '/', validateSearch: texts('q', 'category'), component: Launchpad }),
  page('/sessions', () => import('./pages/sessions/page.tsx'), 'Sessions', ...FILTER),
  page('/sessions/$id', () => import('./pages/session.tsx'), 'SessionPage', 'at', 'since', 'fate'),
  page('/open/$id', () => import('./pages/open.tsx'), 'Open'),
  page('/dead-letters', () => import('./pages/letters.tsx'), 'Letters', 'view', ...LETTERS),
  page('/dead-letters/$id', () => import('./pages/letter.tsx'), 'LetterPage'),
  page('/controllers', () => import('./pages/controllers.tsx'), 'Controllers'),
  page('/controllers/$id', () => import('./pages/controllers.tsx'), 'ControllerPage'),
  page('/jobs', () => import('./pages/jobs.tsx'), 'Jobs', 'status', 'kind', 'cursor'),
  page('/jobs/$id', () => import('./pages/jobs.tsx'), 'JobPage'),
  page('/events', () => import('./pages/events.tsx'), 'Events', 'subject', 'kind', 'entity'),
  page('/queue', () => import('./pages/queue.tsx'), 'Queue', 'platform', 'controller_id', 'user_id', 'cursor'),
  page('/templates', () => import('./pages/templates.tsx'), 'Templates', 'q'),
  page('/templates/$name', () => import('./pages/templates.tsx'), 'TemplatePage'),
  page('/applications', () => import('./pages/templates.tsx'), 'Applications'),
  page('/doctor', () => import('./pages/doctor.tsx'), 'Doctor'),
];

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath: base,
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultErrorComponent: ({ error }) => <div className="page"><Problem error={error} /></div>,
  // plain texts in the address: no quotes around what looks like a number
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const pairs = Object.entries(search as Search).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, String(value)]]));
    const text = new URLSearchParams(pairs).toString();
    return text ? `?${text}` : '';
  },
});
