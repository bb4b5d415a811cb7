/** Controllers: health, breaker and room; and what an operator can do about one. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import type { BreakerOrder, Controller } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { cache, controller, controllers, platforms } from '~/live/queries.ts';
import { type Key, t, word } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Badge, Button, Empty, EntityLink, MoreMenu, PageHead, Shown, Time, sentence } from '~/ui/kit.tsx';
import { Platforms } from './platforms.tsx';

export function Controllers() {
  const navigate = useNavigate();
  const query = useQuery(controllers);
  const places = useQuery(platforms);
  return (
    <div className="page">
      <PageHead title={t('nav.controllers')} text={t('controllers.text')} />
      <Shown query={query}>{(page) => page.items.length === 0 ? <Empty title="controllers.none" text="controllers.none.text" /> : (
        <div className="table-wrap"><table aria-label={t('nav.controllers')}>
          <thead><tr><th>{t('column.controller')}</th><th>{t('column.status')}</th><th>{t('column.platform')}</th><th>{t('column.breaker')}</th><th>{t('column.room')}</th><th className="hide-s">{t('column.version')}</th><th>{t('column.heartbeat')}</th></tr></thead>
          <tbody>{page.items.map((one) => (
            <tr key={one.controller_id} className="link" onClick={(event) => { if (!(event.target as HTMLElement).closest('a')) void navigate({ to: '/controllers/$id', params: { id: one.controller_id } }); }}>
              <td><Link to="/controllers/$id" params={{ id: one.controller_id }} className="strong" style={{ color: 'inherit' }}>{one.display_name || one.controller_id}</Link>{one.reason && <div className="sub break">{one.reason}</div>}</td>
              <td><Health of={one} /></td><td>{one.platform}</td><td><Badge of={one.breaker.state} text={breaker(one)} /></td><td><Room of={one} /></td><td className="hide-s">{one.version ?? '–'} <span className="faint tiny">{one.lane}</span></td><td><Time at={one.last_heartbeat} /></td>
            </tr>
          ))}</tbody>
        </table></div>
      )}</Shown>
      <Shown query={places}>{(page) => <Platforms platforms={page.items} controllers={query.data?.items ?? []} />}</Shown>
    </div>
  );
}

const breaker = (one: Controller) => (one.breaker.held ? t('breaker.held', { state: word('state', one.breaker.state) }) : word('breaker', one.breaker.state));
const Health = ({ of: one }: { of: Controller }) => <Badge of={one.revoked ? 'failed' : !one.admitted ? 'pending' : one.status} text={one.revoked ? t('controller.revoked') : !one.admitted ? t('controller.unadmitted') : word('state', one.status)} />;

function Room({ of: one }: { of: Controller }) {
  const [used, most] = [one.sessions ?? 0, one.sessions_max];
  if (most === null || most === undefined) return <span className="num">{used}</span>;
  const share = most > 0 ? Math.min(100, (used / most) * 100) : 100;
  return <div style={{ minWidth: 90 }}><span className="num tiny">{t('controller.room', { used, most })}</span><div className="bar" role="presentation"><i className={share > 90 ? 'bad' : ''} style={{ width: `${share}%` }} /></div></div>;
}

export function ControllerPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery(controller(id));
  return <div className="page"><Shown query={query}>{(one) => <Whole one={one} />}</Shown></div>;
}

function Whole({ one }: { one: Controller }) {
  const navigate = useNavigate();
  const [question, setQuestion] = useState<Question | null>(null);
  const id = one.controller_id;
  const path = { controller_id: id };
  const name = one.display_name || id;
  const again = () => cache.invalidateQueries({ queryKey: ['controllers'] });
  const order = (action: BreakerOrder['action']) => setQuestion({ title: t(`breaker.${action}.title` as Key, { name }), text: t(`breaker.${action}.text` as Key), act: t(`breaker.${action}` as Key), reason: true, danger: action !== 'close' && action !== 'release', run: (reason) => ask(api.orderBreaker({ path, body: { action, reason }, headers: once() })).then(again) });
  const revoke = () => setQuestion({ title: t('controller.revoke.title', { name }), text: t('controller.revoke.text', { count: one.sessions ?? 0 }), names: [t('controller.revoke.moves', { count: one.sessions ?? 0, name })], act: t('controller.revoke'), danger: true, reason: true, run: async (reason) => { const job = await ask(api.revokeController({ path, body: { reason }, headers: once() })); await again(); await navigate({ to: '/jobs/$id', params: { id: job.job_id } }); } });
  const simple = (title: Key, act: Key, call: (reason: string) => Promise<unknown>) => setQuestion({ title: t(title, { name }), act: t(act), reason: true, run: (reason) => call(reason).then(again) });
  const choices = [
    ...(one.breaker.held ? [{ id: 'release', text: t('breaker.release'), run: () => order('release') }] : [{ id: 'hold_open', text: t('breaker.hold_open'), run: () => order('hold_open') }, { id: 'hold_closed', text: t('breaker.hold_closed'), run: () => order('hold_closed') }]),
    one.breaker.state === 'closed' ? { id: 'open', text: t('breaker.open'), run: () => order('open') } : { id: 'close', text: t('breaker.close'), run: () => order('close') },
    ...(one.impostors ? [{ id: 'reset', text: t('controller.reset'), run: () => simple('controller.reset.title', 'controller.reset', (reason) => ask(api.resetController({ path, body: { reason }, headers: once() }))) }] : []),
    ...(one.revoked ? [{ id: 'reinstate', text: t('controller.reinstate'), run: () => simple('controller.reinstate.title', 'controller.reinstate', (reason) => ask(api.reinstateController({ path, body: { reason }, headers: once() }))) }] : [{ id: 'revoke', text: t('controller.revoke'), danger: true, run: revoke }]),
  ];
  return (
    <>
      <PageHead title={name} crumb={<Link to="/controllers">{t('nav.controllers')}</Link>} text={<span className="row wrap"><Health of={one} /><span>{one.platform}</span></span>}>
        {!one.admitted && <Button kind="primary" onPress={() => simple('controller.admit.title', 'controller.admit', (reason) => ask(api.admitController({ path, body: { reason }, headers: once() })))}>{t('controller.admit')}</Button>}
        <Link className="btn" to="/sessions" search={{ controller_id: id } as never}>{t('controller.sessions')}</Link>
        <MoreMenu label={t('session.more', { name })} choices={choices} />
      </PageHead>
      {one.reason && <p className="note warn">{sentence(one.reason)}</p>}
      {one.impostors && <p className="note bad">{t('controller.impostors', { count: one.impostors.refused })} {sentence(one.impostors.reason ?? '')}</p>}
      {one.revocation && <p className="note bad">{t('controller.revoked.by', { by: one.revocation.by, reason: one.revocation.reason })} {one.revocation.job_id && <Link to="/jobs/$id" params={{ id: one.revocation.job_id }}>{t('bulk.watch')}</Link>}</p>}
      <div className="split">
        <section className="card pad stack" aria-labelledby="breaker"><div className="row"><h2 id="breaker" className="grow">{t('column.breaker')}</h2><Badge of={one.breaker.state} text={breaker(one)} /></div>
          <p className="small soft">{t(`breaker.about.${one.breaker.state}` as Key)}</p>
          <dl className="facts">{one.breaker.reason && <><dt>{t('fact.reason')}</dt><dd>{one.breaker.reason}</dd></>}{one.breaker.since && <><dt>{t('fact.since')}</dt><dd><Time at={one.breaker.since} /></dd></>}<dt>{t('breaker.failing')}</dt><dd className="num">{t('breaker.of', { failing: one.breaker.failing, threshold: one.breaker.threshold })}</dd>{one.breaker.retry_at && <><dt>{t('breaker.retry')}</dt><dd><Time at={one.breaker.retry_at} /></dd></>}<dt>{t('breaker.budget')}</dt><dd className="num">{t('breaker.budget.of', { left: one.retry_budget.left, burst: one.retry_budget.burst })}</dd></dl>
          <div className="row wrap">{choices.slice(0, one.breaker.held ? 2 : 3).map((choice) => <Button key={choice.id} small onPress={choice.run}>{choice.text}</Button>)}</div>
        </section>
        <section className="card pad" aria-label={t('facts')}><dl className="facts">
          <dt>{t('column.room')}</dt><dd><Room of={one} /></dd><dt>{t('column.heartbeat')}</dt><dd><Time at={one.last_heartbeat} /> <span className="faint">{t('controller.every', { interval: one.heartbeat_interval })}</span></dd><dt>{t('column.version')}</dt><dd>{one.version ?? '–'}</dd><dt>{t('controller.lane')}</dt><dd>{word('lane', one.lane)}</dd>
          <dt>{t('controller.can')}</dt><dd className="chips">{one.capabilities.map((can) => <span key={can} className="tag">{can}</span>)}</dd>{Object.keys((one.labels ?? {}) as object).length > 0 && <><dt>{t('controller.labels')}</dt><dd className="chips">{Object.entries(one.labels as Record<string, string>).map(([label, value]) => <span key={label} className="tag">{label}={value}</span>)}</dd></>}
          {one.owed > 0 && <><dt>{t('controller.owed')}</dt><dd className="num">{one.owed}</dd></>}<dt>{t('fact.id')}</dt><dd><EntityLink entity={`controller:${id}`} /></dd><dt>{t('controller.instance')}</dt><dd className="mono tiny">{one.instance_id ?? '–'}</dd>
        </dl></section>
      </div>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </>
  );
}
