/** Opens a session: wakes it if need be, shows the true steps as the feed tells them, and goes on to its address by itself. */
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import type { Event, Session } from '~/api/generated/types.gen.ts';
import { session, sessionEvents } from '~/live/queries.ts';
import { estimate, steps } from '~/live/steps.ts';
import { t } from '~/text/index.ts';
import { Button, ButtonLink, Loading, Problem, Time, sentence, short, useNow, useTitle } from '~/ui/kit.tsx';
import { length } from '~/ui/time.ts';
import { change, why } from './actions.tsx';

/** Asked of once for each visit: a session that hibernates again must not be woken by a page that was left open. */
export function Open() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery(session(id));
  const log = useQuery(sessionEvents(id));
  const woken = useRef(false);
  const [error, setError] = useState<unknown>(null);
  const current = query.data;
  useTitle(t('open.title'));
  const wake = () => { setError(null); void change('wake', id).catch(setError); };
  useEffect(() => {
    if (!current || woken.current) return;
    woken.current = true;
    if (current.status === 'hibernated' || current.desired === 'hibernated') wake();
  });
  const ready = current?.status === 'running' && current.desired === 'running' ? current.url : null;
  useEffect(() => { if (ready) location.replace(ready); }, [ready]);
  return (
    <div className="alone" style={{ minHeight: '90vh' }}>
      <div className="card">
        {query.error && !current ? <Problem error={query.error} retry={() => void query.refetch()} /> : !current ? <Loading rows={3} /> : <Steps current={current} events={log.data?.items ?? []} ready={ready ?? null} error={error} wake={wake} />}
      </div>
    </div>
  );
}

function Steps({ current, events, ready, error, wake }: { current: Session; events: Event[]; ready: string | null; error: unknown; wake: () => void }) {
  const now = useNow();
  const id = current.session_id;
  const shown = steps(current, events);
  const expected = estimate(events);
  const begun = shown.find((step) => step.at)?.at;
  const reason = why(current);
  const ended = ['deleting', 'deleted'].includes(current.status);
  return (
    <>
      <div><h1>{ready ? t('open.going') : ended ? t('open.deleted') : current.status === 'failed' ? t('open.failed') : t('open.opening', { name: current.template_id })}</h1><p className="small soft mono">{short(id)}</p></div>
      {!ended && <ol className="steps" aria-live="polite">{shown.map((step) => <li key={step.name} className={step.state}>{t(`step.${step.name}`)}<span className="took">{step.took !== null ? length(step.took) : step.at ? <Time at={step.at} /> : null}</span></li>)}</ol>}
      {!ready && !ended && current.status !== 'failed' && expected !== null && begun && <p className="small soft">{t('open.estimate', { time: length(expected) })} {now - Date.parse(begun) > expected * 3 ? t('open.slow') : ''}</p>}
      {reason && !ready && <p className="note warn break">{sentence(reason)}</p>}
      {current.next_attempt_at && <p className="small soft">{t('next.attempt', { attempt: current.attempt + 1 })} <Time at={current.next_attempt_at} /></p>}
      {error !== null && <Problem error={error} retry={wake} />}
      <div className="row wrap">
        {ready && <ButtonLink kind="primary" href={ready}>{t('open.now')}</ButtonLink>}
        {(current.status === 'failed' || (current.status === 'hibernated' && error === null)) && <Button kind="primary" onPress={wake}>{current.status === 'failed' ? t('open.again') : t('verb.wake')}</Button>}
        <Link className="btn" to="/sessions/$id" params={{ id }}>{t('session.details')}</Link>
        <Link className="btn ghost" to="/">{t('nav.launchpad')}</Link>
      </div>
    </>
  );
}
