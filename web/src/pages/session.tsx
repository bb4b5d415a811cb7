/** One session: where it stands and the one next step, why it is awake, what happened, and the same as a command line. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { Event, Session } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { cache, fate, session, sessionEvents } from '~/live/queries.ts';
import { newer } from '~/live/patch.ts';
import { happened, timeline } from '~/live/timeline.ts';
import { type Key, t, word } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Badge, Button, ButtonLink, Code, Copyable, EntityLink, MoreMenu, PageHead, Problem, Shown, Time, sentence, short } from '~/ui/kit.tsx';
import { exact, length } from '~/ui/time.ts';
import { say } from '~/ui/toast.tsx';
import { change, deletion, verbs, why } from './actions.tsx';
import { Past } from './past.tsx';
import { Usage } from './usage.tsx';

export function SessionPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const { at, since, fate: asked } = useSearch({ strict: false }) as { at?: string; since?: string; fate?: string };
  const now = useQuery(session(id));
  const events = useQuery(sessionEvents(id));
  const past = useQuery({ ...session(id, at), enabled: !!at });
  return (
    <div className="page">
      <Shown query={now}>{(current) => <>
        <Head session={current} />
        {at && <div className="note info"><span className="grow">{t('session.at', { time: exact(at) })} {past.data && past.data.status !== current.status ? t('session.at.was', { then: word('state', past.data.status), now: word('state', current.status) }) : ''}</span><Link to="/sessions/$id" params={{ id }} search={{} as never}>{t('session.at.now')}</Link></div>}
        {at && past.error ? <Problem error={past.error} /> : null}
        <div className="two">
          <div className="stack l">
            {!at && <Next session={current} />}
            <section aria-labelledby="story" className="card pad">
              <div className="section-head"><h2 id="story">{t('session.story')}</h2>{events.data?.cut && <span className="tiny faint">{t('session.story.cut')}</span>}</div>
              <Shown query={events}>{(log) => <Story events={log.items} asked={asked} at={at} />}</Shown>
            </section>
            {events.data && <Past id={id} events={events.data.items} at={at} since={since} />}
            <Output session={current} />
          </div>
          <aside className="stack l">
            <Facts session={at && past.data ? past.data : current} />
            {!at && current.awake && <Awake session={current} />}
            {!at && <Usage session={current} />}
            <Lines session={current} />
          </aside>
        </div>
      </>}</Shown>
    </div>
  );
}

function Head({ session: current }: { session: Session }) {
  const navigate = useNavigate();
  const [question, setQuestion] = useState<Question | null>(null);
  const id = current.session_id;
  const may = verbs(current);
  const act = (verb: 'wake' | 'hibernate') => void change(verb, id).catch((error: Error) => say(error.message));
  const choices = [
    ...(may.includes('hibernate') ? [{ id: 'hibernate', text: t('verb.hibernate'), run: () => act('hibernate') }] : []),
    ...(may.includes('wake') ? [{ id: 'wake', text: t('verb.wake'), run: () => act('wake') }] : []),
    ...(may.includes('delete') ? [{ id: 'delete', text: t('verb.delete'), danger: true, run: () => setQuestion({ ...deletion([current]), run: async () => { await change('delete', id); await navigate({ to: '/sessions/$id', params: { id } }); } }) }] : []),
  ];
  return (
    <PageHead title={`${current.template_id} ${short(id)}`} crumb={<Link to="/sessions">{t('nav.sessions')}</Link>} text={<span className="row wrap"><Badge of={current.status} /><span className="small">{t('session.for', { user: current.user_id, platform: current.platform })}</span></span>}>
      {may.includes('open') && (current.status === 'running' && current.url
        ? <ButtonLink external kind="primary" href={current.url}>{t('verb.open')}</ButtonLink>
        : <Link className="btn primary" to="/open/$id" params={{ id }}>{current.status === 'hibernated' ? t('session.wake_open') : t('session.watch')}</Link>)}
      {may.includes('hibernate') && <Button onPress={() => act('hibernate')}>{t('verb.hibernate')}</Button>}
      {choices.length > 0 && <MoreMenu label={t('session.more', { name: short(id) })} choices={choices} />}
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </PageHead>
  );
}

/** The one next step, in words. */
function Next({ session: current }: { session: Session }) {
  const reason = why(current);
  if (current.status === 'running' && !reason && !current.next_attempt_at) return null;
  const tone = current.status === 'failed' ? 'bad' : current.status === 'pending' || current.next_attempt_at ? 'warn' : current.status === 'running' ? 'good' : 'info';
  return (
    <div className={`note ${tone}`} role="status">
      <div className="stack s">
        <span className="strong">{t(`next.${current.status}` as Key)}</span>
        {reason && <span className="break">{sentence(reason)}</span>}
        {current.next_attempt_at && <span>{t('next.attempt', { attempt: current.attempt + 1 })} <Time at={current.next_attempt_at} /></span>}
        {current.status === 'pending' && !current.controller_id && <span><Link to="/queue" search={{ platform: current.platform } as never}>{t('next.queue')}</Link> · <Link to="/controllers">{t('next.controllers')}</Link></span>}
        {current.status === 'failed' && <span><Link to="/dead-letters" search={{ q: current.session_id, view: 'list' } as never}>{t('next.letters')}</Link></span>}
      </div>
    </div>
  );
}

function Story({ events, asked, at }: { events: Event[]; asked: string | undefined; at: string | undefined }) {
  const entries = timeline(events);
  const [latest, setLatest] = useState(false);
  const shown = latest ? [...entries].reverse() : entries;
  if (entries.length === 0) return <p className="soft small">{t('session.story.none')}</p>;
  return (
    <>
      {entries.length > 8 && <label className="row small soft" style={{ marginBottom: 12 }}><input type="checkbox" className="check" checked={latest} onChange={(event) => setLatest(event.target.checked)} />{t('session.story.latest')}</label>}
      <ol className="line">{shown.map((entry) => entry.type === 'idle'
        ? <li key={entry.key} className="idle"><span className="gap">{t('session.story.idle', { time: length(entry.ms) })}</span></li>
        : <Entry key={entry.event.id} event={entry.event} tone={entry.tone} open={asked === entry.event.event_id} here={at === entry.event.at} />)}</ol>
    </>
  );
}

function Entry({ event, tone, open, here }: { event: Event; tone: string; open: boolean; here: boolean }) {
  const id = event.entity.slice('session:'.length);
  const changes = Object.entries((event.changes ?? {}) as Record<string, unknown>).filter(([name]) => SHOWN.includes(name));
  return (
    <li className={tone}>
      <div className="row wrap"><span className={here ? 'strong' : ''}>{word('happened', happened(event))}</span>{event.attempt > 1 && <span className="tag">{t('attempt', { attempt: event.attempt })}</span>}{event.controller_id && <span className="tiny faint">{event.controller_id}</span>}<span className="grow" /><span className="tiny faint"><Time at={event.at} /></span></div>
      {event.error_message && <div className="small break" style={{ color: 'var(--bad)' }}>{event.error_message}</div>}
      {changes.length > 0 && event.kind !== 'command' && <div className="tiny soft break">{changes.map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' · ')}</div>}
      <details open={open}>
        <summary className="tiny">{t('details')}</summary>
        <div className="stack">
          <dl className="facts tiny"><dt>{t('event')}</dt><dd className="mono">{event.event_id}</dd><dt>{t('event.subject')}</dt><dd className="mono">{event.subject}</dd>{event.trace_id && <><dt>{t('event.trace')}</dt><dd className="mono">{event.trace_id}</dd></>}<dt>{t('event.time')}</dt><dd>{exact(event.at)}</dd></dl>
          <div className="row wrap"><Link className="btn small" to="/sessions/$id" params={{ id }} search={{ at: event.at } as never}>{t('session.look')}</Link><Fate id={event.event_id} /></div>
          <Code value={event.payload} label={t('event.payload')} />
        </div>
      </details>
    </li>
  );
}
/** Columns whose changes say something to people. */
const SHOWN = ['status', 'controller_id', 'reason', 'message', 'url', 'phase', 'desired', 'placement'];

/** Where an event is now and each step that led there, in place. */
export function Fate({ id }: { id: string }) {
  const [shown, setShown] = useState(false);
  const query = useQuery({ ...fate(id), enabled: shown });
  if (!shown) return <Button small onPress={() => setShown(true)}>{t('fate')}</Button>;
  return (
    <div className="grow" style={{ flexBasis: '100%' }}>
      <Shown query={query} rows={2}>{(told) => (
        <div className="stack">
          <div className="row wrap"><Badge of={told.verdict} /><span className="small break">{sentence(told.sentence)}</span></div>
          <ol className="line small">{told.hops.map((hop, at) => <li key={at}><div className="row"><span className="break grow">{sentence(hop.text)}</span><span className="tiny faint"><Time at={hop.at} /></span></div></li>)}</ol>
          {told.dead_letter && <Link to="/dead-letters/$id" params={{ id: told.dead_letter.id }}>{t('fate.letter')}</Link>}
        </div>
      )}</Shown>
    </div>
  );
}

function Output({ session: current }: { session: Session }) {
  const [shown, setShown] = useState(false);
  const log = useQuery({ queryKey: ['log', current.session_id], enabled: shown, staleTime: 0, queryFn: () => ask(api.getSessionLogs({ path: { id: current.session_id }, query: { bytes: 65_536 } as never })) });
  if (!current.controller_id) return null;
  return (
    <section aria-labelledby="output" className="card pad">
      <div className="section-head"><h2 id="output">{t('session.output')}</h2><span className="end">{shown ? <Button small onPress={() => void log.refetch()}>{t('act.reload')}</Button> : <Button small onPress={() => setShown(true)}>{t('session.output.show')}</Button>}</span></div>
      {shown ? <Shown query={log} rows={3}>{(read) => read.text === '' ? <p className="soft small">{t('session.output.none')}</p> : <Code value={read.text} label={t('session.output')} />}</Shown> : <p className="soft small">{t('session.output.text')}</p>}
    </section>
  );
}

function Facts({ session: shown }: { session: Session }) {
  const rows: [Key, React.ReactNode][] = [
    ['fact.template', <Link key="t" to="/templates/$name" params={{ name: shown.template_id }}>{shown.template_id}</Link>],
    ['fact.controller', shown.controller_id ? <EntityLink key="c" entity={`controller:${shown.controller_id}`} /> : t('fact.no_controller')],
    ['fact.placement', shown.placement], ['fact.resources', [shown.resources.cpu && `${shown.resources.cpu} CPU`, shown.resources.memory].filter(Boolean).join(', ')],
    ['fact.usage', shown.resource_usage && [shown.resource_usage.cpu && `${shown.resource_usage.cpu} CPU`, shown.resource_usage.memory].filter(Boolean).join(', ')],
    ['fact.home', shown.persistent_home ? t('home.kept') : t('home.scratch')], ['fact.tags', shown.tags.length > 0 ? <span key="g" className="chips">{shown.tags.map((tag) => <Link key={tag} className="tag" to="/sessions" search={{ tag } as never}>{tag}</Link>)}</span> : null],
    ['fact.created', <Time key="n" at={shown.created_at} />], ['fact.changed', <Time key="u" at={shown.updated_at} />], ['fact.generation', `${shown.generation} / ${shown.revision}`], ['fact.id', <span key="i" className="mono tiny">{shown.session_id}</span>],
  ];
  return <section className="card pad" aria-label={t('facts')}><dl className="facts">{rows.filter(([, value]) => value).map(([name, value]) => <div key={name} style={{ display: 'contents' }}><dt>{t(name)}</dt><dd>{value}</dd></div>)}</dl></section>;
}

function Awake({ session: current }: { session: Session }) {
  const awake = current.awake!;
  const extend = (by: string) => void ask(api.extendSession({ path: { id: current.session_id }, body: { by }, headers: once() })).then(
    (after) => { cache.setQueryData<Session>(['session', current.session_id], (before) => newer(before, after)); say(t('awake.extended', { by })); },
    (error: Error) => say(error.message),
  );
  return (
    <section className="card pad stack" aria-labelledby="awake">
      <h2 id="awake">{t('awake')}</h2>
      <ul className="stack s small soft">{awake.reasons.map((reason) => <li key={reason.kind + reason.since}>{sentence(reason.detail)}</li>)}</ul>
      {(awake.sleeps_at || awake.expires_at) && <dl className="facts">{awake.sleeps_at && <><dt>{t('awake.sleeps')}</dt><dd><Time at={awake.sleeps_at} /></dd></>}{awake.expires_at && <><dt>{t('awake.ends')}</dt><dd><Time at={awake.expires_at} /></dd></>}</dl>}
      {awake.extendable_until && <div className="row">{['30m', '2h'].map((by) => <Button key={by} small onPress={() => extend(by)}>{t('awake.extend', { by })}</Button>)}</div>}
    </section>
  );
}

/** The same for a terminal. The token is never shown: curl reads it from the environment. */
function Lines({ session: current }: { session: Session }) {
  const id = current.session_id;
  const url = `${location.origin}${new URL(document.baseURI).pathname}api/v1/sessions/${id}`;
  return <section className="card pad stack" aria-labelledby="lines"><h2 id="lines">{t('lines')}</h2><Copyable label={t('lines.cli')} wrap text={`streamspace session get ${id}`} /><Copyable label={t('lines.curl')} wrap text={`curl -s ${url} -H "Authorization: Bearer $TOKEN"`} /></section>;
}
