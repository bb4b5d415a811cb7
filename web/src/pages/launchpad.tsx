/** The start page: my sessions on top, and below what can be started with one click. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import type { Session, Template } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { useFeedItems } from '~/feed/react.ts';
import { cache, platforms, sessions, templates } from '~/live/queries.ts';
import { t } from '~/text/index.ts';
import { Confirm, type Question, Window } from '~/ui/confirm.tsx';
import { Badge, Button, ButtonLink, Empty, Loading, MoreMenu, PageHead, Pick, Problem, Search, Shown, Time, short } from '~/ui/kit.tsx';
import { say } from '~/ui/toast.tsx';
import { store, stored } from '~/ui/storage.ts';
import { Monogram } from '~/ui/monogram.tsx';
import { change, deletion, verbs, why } from './actions.tsx';

/** Sessions that the start page shows; the list has all. */
const SHOWN = 6;

export function Launchpad() {
  const navigate = useNavigate();
  const { q, category } = useSearch({ strict: false }) as { q?: string; category?: string };
  const catalog = useQuery(templates);
  const [asked, setAsked] = useState<Template | null>(null);
  const categories = useMemo(() => [...new Set((catalog.data?.items ?? []).map((template) => template.category).filter(Boolean))].sort(), [catalog.data]);
  const found = (catalog.data?.items ?? []).filter((template) => (!category || template.category === category) && fits(template, q));
  const show = (search: Record<string, string | undefined>) => void navigate({ to: '/', search: { q, category, ...search } as never, replace: true });
  return (
    <div className="page">
      <PageHead title={t('launchpad.title')} text={t('launchpad.text')} />
      <Mine />
      <section aria-labelledby="catalog">
        <div className="section-head wrap row"><h2 id="catalog">{t('launchpad.start')}</h2></div>
        <div className="toolbar" style={{ marginBottom: 12 }}>
          <Search value={q ?? ''} onChange={(text) => show({ q: text || undefined })} label={t('launchpad.search')} />
          {categories.length > 1 && (
            <div className="chips" role="group" aria-label={t('launchpad.category')}>
              <button type="button" className="chip" aria-pressed={!category} onClick={() => show({ category: undefined })}>{t('all')}</button>
              {categories.map((name) => <button key={name} type="button" className="chip" aria-pressed={category === name} onClick={() => show({ category: category === name ? undefined : name })}>{name}</button>)}
            </div>
          )}
        </div>
        <Shown query={catalog}>{(all) => all.items.length === 0
          ? <Empty title="launchpad.none" text="launchpad.none.text"><Link className="btn" to="/templates">{t('nav.templates')}</Link></Empty>
          : found.length === 0
            ? <Empty title="empty.matches" text="launchpad.matches.text"><Button onPress={() => show({ q: undefined, category: undefined })}>{t('act.clear')}</Button></Empty>
            : <div className="grid">{found.map((template) => <Tile key={template.name} template={template} onAsk={() => setAsked(template)} />)}</div>}
        </Shown>
      </section>
      {asked && <Start template={asked} onClose={() => setAsked(null)} />}
    </div>
  );
}

const fits = (template: Template, q: string | undefined) =>
  !q || [template.name, template.display_name, template.description, ...template.tags].join(' ').toLowerCase().includes(q.toLowerCase());

function Mine() {
  const mine = useQuery(sessions({ sort: '-created_at' }));
  const [question, setQuestion] = useState<Question | null>(null);
  useFeedItems((items) => { if (items.some((item) => item.entity_seq === 1 && item.entity.startsWith('session:'))) void cache.invalidateQueries({ queryKey: ['sessions', { sort: '-created_at' }] }); });
  if (mine.data === undefined) return mine.error ? <Problem error={mine.error} retry={() => void mine.refetch()} /> : <Loading rows={2} />;
  const living = mine.data.items.filter((session) => session.status !== 'deleted');
  if (living.length === 0) return null;
  return (
    <section aria-labelledby="mine">
      <div className="section-head"><h2 id="mine">{t('launchpad.mine')}</h2><Link className="small end" to="/sessions">{t('launchpad.all')}</Link></div>
      <ul className="card">{living.slice(0, SHOWN).map((session) => <Row key={session.session_id} session={session} onQuestion={setQuestion} />)}</ul>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </section>
  );
}

function Row({ session, onQuestion }: { session: Session; onQuestion: (question: Question) => void }) {
  const navigate = useNavigate();
  const id = session.session_id;
  const may = verbs(session);
  const reason = why(session);
  const act = (verb: 'wake' | 'hibernate') => void change(verb, id).catch((error: Error) => say(error.message));
  return (
    <li className="mine">
      <Monogram name={session.template_id} />
      <div className="grow">
        <div className="row wrap"><Link to="/sessions/$id" params={{ id }} className="strong" style={{ color: 'inherit' }}>{session.template_id}</Link><span className="mono tiny faint">{short(id)}</span><Badge of={session.status} /></div>
        <div className="why break">{reason ?? <>{t('session.created')} <Time at={session.created_at} /> · {session.user_id} · {session.platform}</>}</div>
      </div>
      <div className="row">
        {may.includes('open') && (session.status === 'running' && session.url
          ? <ButtonLink external href={session.url} kind="primary">{t('verb.open')}</ButtonLink>
          : <Link className="btn" to="/open/$id" params={{ id }}>{session.status === 'hibernated' ? t('session.wake_open') : t('session.watch')}</Link>)}
        <MoreMenu label={t('session.more', { name: `${session.template_id} ${short(id)}` })} choices={[
          { id: 'details', text: t('session.details'), run: () => void navigate({ to: '/sessions/$id', params: { id } }) },
          ...(may.includes('hibernate') ? [{ id: 'hibernate', text: t('verb.hibernate'), run: () => act('hibernate') }] : []),
          ...(may.includes('wake') ? [{ id: 'wake', text: t('verb.wake'), run: () => act('wake') }] : []),
          ...(may.includes('delete') ? [{ id: 'delete', text: t('verb.delete'), danger: true, run: () => onQuestion(deletion([session])) }] : []),
        ]} />
      </div>
    </li>
  );
}

interface Choices { platform?: string | undefined; persistent_home?: boolean | undefined; idle_timeout?: string | undefined }
const remembered = (name: string): Choices => {
  try {
    return JSON.parse(stored(`streamspace.start.${name}`) ?? '{}') as Choices;
  } catch {
    return {};
  }
};

async function start(template: Template, choices: Choices): Promise<Session> {
  const body = { template_id: template.name, ...Object.fromEntries(Object.entries(choices).filter(([, value]) => value !== undefined && value !== '')) };
  const session = await ask(api.createSession({ body, headers: once() }));
  store(`streamspace.start.${template.name}`, JSON.stringify(choices));
  await cache.invalidateQueries({ queryKey: ['sessions'] });
  return session;
}

function Tile({ template, onAsk }: { template: Template; onAsk: () => void }) {
  const navigate = useNavigate();
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      const session = await start(template, remembered(template.name));
      await navigate({ to: '/open/$id', params: { id: session.session_id } });
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return (
    <article className="card tile">
      <div className="row"><Monogram name={template.display_name || template.name} of={template.name} /><div className="grow"><h3 className="ellipsis">{template.display_name || template.name}</h3><div className="tiny faint">{template.category || t('template.uncategorised')}</div></div></div>
      <p>{template.description || t('template.nothing')}</p>
      {error !== null && <Problem error={error} />}
      <div className="end">
        <Button start isDisabled={busy} onPress={() => void go()} aria-label={t('launchpad.go', { name: template.display_name })}>{t('verb.start')}</Button>
        <Button kind="ghost" onPress={onAsk} aria-label={t('launchpad.options.of', { name: template.display_name })}>{t('launchpad.options')}</Button>
      </div>
    </article>
  );
}

function Start({ template, onClose }: { template: Template; onClose: () => void }) {
  const navigate = useNavigate();
  const places = useQuery(platforms);
  const [choices, setChoices] = useState<Choices>(remembered(template.name));
  const [error, setError] = useState<unknown>(null);
  const place = places.data?.items.find((platform) => platform.platform === choices.platform);
  const go = async () => {
    setError(null);
    try {
      const session = await start(template, choices);
      await navigate({ to: '/open/$id', params: { id: session.session_id } });
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Window open title={t('launchpad.start.of', { name: template.display_name })} onClose={onClose}>
      <div className="field"><span>{t('platform')}</span>
        <Pick label={t('platform')} all={t('platform.default')} value={choices.platform} onChange={(platform) => setChoices({ ...choices, platform })} options={(places.data?.items ?? []).map((platform) => [platform.platform, platform.accepting ? platform.platform : t('platform.waits', { name: platform.platform })])} />
        {place && !place.accepting && <span className="hint">{place.reason}</span>}
      </div>
      <label className="field"><span>{t('idle_timeout')}</span><input className="input" placeholder="30m" value={choices.idle_timeout ?? ''} onChange={(event) => setChoices({ ...choices, idle_timeout: event.target.value || undefined })} /><span className="hint">{t('idle_timeout.hint')}</span></label>
      <label className="row small"><input type="checkbox" className="check" checked={choices.persistent_home ?? false} onChange={(event) => setChoices({ ...choices, persistent_home: event.target.checked || undefined })} />{t('home')}</label>
      <p className="tiny faint">{t('launchpad.remembered')}</p>
      {error !== null && <Problem error={error} />}
      <div className="end"><Button onPress={onClose}>{t('act.cancel')}</Button><Button kind="primary" onPress={() => void go()}>{t('verb.start')}</Button></div>
    </Window>
  );
}
