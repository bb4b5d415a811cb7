/** The catalog: what sessions are made of, and what is installed where. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Suspense, lazy, useState } from 'react';
import type { Application, Template } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once, refusal } from '~/api/http.ts';
import { lineOf } from '~/live/mistakes.ts';
import { applications, cache, platforms, template, templates } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question, Window } from '~/ui/confirm.tsx';
import { Badge, Button, Code, Empty, Loading, PageHead, Pick, Problem, Search, Shown, Time, sentence } from '~/ui/kit.tsx';
import { Monogram } from '~/ui/monogram.tsx';
import { say } from '~/ui/toast.tsx';

const Editor = lazy(() => import('~/ui/editor.tsx'));
const EXAMPLE = `apiVersion: stream.space/v1alpha1
kind: Template
metadata:
  name: files
spec:
  displayName: Files
  description: A list of the files of the session's home.
  category: Productivity
  local:
    command: [python3, -m, http.server, "\${PORT}", --bind, 127.0.0.1, --directory, "\${HOME}"]
    readiness: { path: /, timeout: 20s }
`;

export function Templates() {
  const navigate = useNavigate();
  const { q } = useSearch({ strict: false }) as { q?: string };
  const query = useQuery(templates);
  const [writes, setWrites] = useState(false);
  return (
    <div className="page">
      <PageHead title={t('nav.templates')} text={t('templates.text')}><Button kind="primary" onPress={() => setWrites(true)}>{t('templates.write')}</Button></PageHead>
      <div className="toolbar"><Search value={q ?? ''} onChange={(text) => void navigate({ to: '/templates', search: { q: text || undefined } as never, replace: true })} label={t('launchpad.search')} /></div>
      <Shown query={query}>{(all) => {
        const found = all.items.filter((one) => !q || [one.name, one.display_name, one.description, ...one.tags].join(' ').toLowerCase().includes(q.toLowerCase()));
        if (all.items.length === 0) return <Empty title="launchpad.none" text="launchpad.none.text" />;
        if (found.length === 0) return <Empty title="empty.matches" text="launchpad.matches.text" />;
        return <div className="table-wrap"><table aria-label={t('nav.templates')}><thead><tr><th>{t('column.template')}</th><th>{t('column.category')}</th><th className="hide-s">{t('column.tags')}</th><th>{t('column.changed')}</th></tr></thead><tbody>{found.map((one) => (
          <tr key={one.name} className="link" onClick={(event) => { if (!(event.target as HTMLElement).closest('a')) void navigate({ to: '/templates/$name', params: { name: one.name } }); }}>
            <td><div className="row"><Monogram name={one.display_name || one.name} /><div><Link to="/templates/$name" params={{ name: one.name }} className="strong" style={{ color: 'inherit' }}>{one.display_name || one.name}</Link> {one.built_in && <span className="tag">{t('template.built_in')}</span>}<div className="sub">{one.description}</div></div></div></td>
            <td>{one.category}</td><td className="hide-s"><span className="chips">{one.tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}</span></td><td><Time at={one.updated_at} /></td>
          </tr>
        ))}</tbody></table></div>;
      }}</Shown>
      {writes && <Write title={t('templates.write')} text={EXAMPLE} onClose={() => setWrites(false)} send={async (text) => {
        const written = await ask(api.putTemplates({ body: text as never, bodySerializer: (body: unknown) => body as string, headers: { ...once(), 'Content-Type': 'application/yaml' } as never }));
        await cache.invalidateQueries({ queryKey: ['templates'] });
        say(written.items.map((one) => `${one.name}: ${word('outcome', one.outcome)}`).join(', '));
      }} />}
    </div>
  );
}

/** YAML that the server reads; the line of a mistake is marked. */
function Write({ title, text, onClose, send, children }: { title: string; text: string; onClose: () => void; send: (text: string) => Promise<unknown>; children?: React.ReactNode }) {
  const [after, setAfter] = useState(text);
  const [error, setError] = useState<unknown>(null);
  const run = () => { setError(null); send(after).then(onClose, setError); };
  const problem = error === null ? null : refusal(error);
  return (
    <Window wide open title={title} onClose={onClose}>
      {children}
      <Suspense fallback={<Loading rows={8} />}><Editor language="yaml" value={text} label={t('templates.manifest')} onChange={setAfter} mistake={problem ? lineOf(after, problem.mistakes, problem.message) : null} /></Suspense>
      {error !== null && <Problem error={error} />}
      <div className="end"><Button onPress={onClose}>{t('act.cancel')}</Button><Button kind="primary" onPress={run}>{t('act.save')}</Button></div>
    </Window>
  );
}

export function TemplatePage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const query = useQuery(template(name));
  return <div className="page"><Shown query={query}>{(one) => <One one={one} />}</Shown></div>;
}

function One({ one }: { one: Template }) {
  const navigate = useNavigate();
  const [question, setQuestion] = useState<Question | null>(null);
  const remove = (): Question => ({ title: t('template.delete.title', { name: one.name }), text: t('template.delete.text'), names: [one.display_name || one.name], act: t('verb.delete'), danger: true, run: async () => { await ask(api.deleteTemplate({ path: { name: one.name }, headers: once() })); await cache.invalidateQueries({ queryKey: ['templates'] }); await navigate({ to: '/templates' }); } });
  return (
    <>
      <PageHead title={one.display_name || one.name} crumb={<Link to="/templates">{t('nav.templates')}</Link>} text={one.description}>
        <Link className="btn" to="/sessions" search={{ template_id: one.name } as never}>{t('controller.sessions')}</Link>
        {!one.built_in && <Button kind="danger" onPress={() => setQuestion(remove())}>{t('verb.delete')}</Button>}
      </PageHead>
      <div className="two"><section className="stack s" aria-labelledby="manifest"><h2 id="manifest">{t('templates.manifest')}</h2><Code value={one.manifest} label={t('templates.manifest')} /></section>
        <section className="card pad" aria-label={t('facts')}><dl className="facts"><dt>{t('fact.name')}</dt><dd className="mono">{one.name}</dd><dt>{t('column.category')}</dt><dd>{one.category || '–'}</dd>{one.base_image && <><dt>{t('template.image')}</dt><dd className="mono tiny">{one.base_image}</dd></>}<dt>{t('column.tags')}</dt><dd className="chips">{one.tags.map((tag) => <span key={tag} className="tag">{tag}</span>)}</dd><dt>{t('column.changed')}</dt><dd><Time at={one.updated_at} /></dd></dl></section></div>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </>
  );
}

export function Applications() {
  const query = useQuery(applications);
  const [installs, setInstalls] = useState(false);
  const [edits, setEdits] = useState<Application | null>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  const again = () => cache.invalidateQueries({ queryKey: ['applications'] });
  const install = (platform: string | undefined) => async (manifest: string) => { await ask(api.installApplication({ body: { manifest, ...(platform ? { platform } : {}) }, headers: once() })); await again(); };
  const uninstall = (one: Application): Question => ({ title: t('app.uninstall.title', { name: one.display_name, platform: one.platform }), text: one.in_use_by > 0 ? t('app.uninstall.used', { count: one.in_use_by }) : t('app.uninstall.text'), names: [`${one.template_name} · ${one.platform}`], act: t('app.uninstall'), danger: true, run: () => ask(api.uninstallApplication({ path: { id: one.install_id }, query: { force: one.in_use_by > 0 }, headers: once() })).then(again) });
  return (
    <div className="page">
      <PageHead title={t('nav.applications')} text={t('apps.text')}><Button kind="primary" onPress={() => setInstalls(true)}>{t('app.install')}</Button></PageHead>
      <Shown query={query}>{(all) => all.items.length === 0 ? <Empty title="apps.none" text="apps.none.text"><Button kind="primary" onPress={() => setInstalls(true)}>{t('app.install')}</Button></Empty> : (
        <div className="table-wrap"><table aria-label={t('nav.applications')}><thead><tr><th>{t('column.application')}</th><th>{t('column.status')}</th><th className="hide-s">{t('column.platform')}</th><th className="hide-s">{t('column.used')}</th><th className="hide-s">{t('column.changed')}</th><th><span className="visually-hidden">{t('column.actions')}</span></th></tr></thead><tbody>{all.items.map((one) => (
          <tr key={one.install_id}><td><div className="strong">{one.display_name}</div><div className="sub break">{one.reason ? sentence(one.reason) : one.install_message ? sentence(one.install_message) : one.template_name}</div></td><td><Badge of={one.install_status} /></td><td className="hide-s">{one.platform}</td><td className="hide-s num">{one.in_use_by}</td><td className="hide-s"><Time at={one.updated_at} /></td>
            <td className="acts"><Button small onPress={() => setEdits(one)}>{t('app.upgrade')}</Button> <Button small kind="danger" onPress={() => setQuestion(uninstall(one))}>{t('app.uninstall')}</Button></td></tr>
        ))}</tbody></table></div>
      )}</Shown>
      {installs && <Install install={install} onClose={() => setInstalls(false)} />}
      {edits && <Write title={t('app.upgrade.title', { name: edits.display_name })} text={edits.manifest} onClose={() => setEdits(null)} send={install(edits.platform)} />}
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </div>
  );
}

function Install({ install, onClose }: { install: (platform: string | undefined) => (manifest: string) => Promise<void>; onClose: () => void }) {
  const places = useQuery(platforms);
  const [platform, setPlatform] = useState<string | undefined>();
  return <Write title={t('app.install')} text={EXAMPLE} onClose={onClose} send={install(platform)}><div className="field"><span>{t('platform')}</span><Pick label={t('platform')} all={t('platform.default')} value={platform} onChange={setPlatform} options={(places.data?.items ?? []).map((place) => place.platform)} /></div></Write>;
}
