/** Changing many sessions: those that were picked one by one, or all that match, as a job on the server. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { Job, Session, SessionsBulk } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import type { Filter } from '~/live/patch.ts';
import { job } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import type { Question } from '~/ui/confirm.tsx';
import { Problem, short } from '~/ui/kit.tsx';
import { exact } from '~/ui/time.ts';
import { say } from '~/ui/toast.tsx';
import { change, deletion } from '../actions.tsx';

export type Action = SessionsBulk['action'];
/** Requests at a time for picked sessions; a browser has six connections to a server. */
const AT_ONCE = 4;

export function questionOfPicked(action: Action, picked: Session[], done: () => void): Question {
  const asked = deletion(picked);
  const words = action === 'delete' ? asked : { title: t(`bulk.${action}.title`, { count: picked.length }), names: asked.names ?? [], act: t(`verb.${action}`) };
  return {
    ...words,
    run: async () => {
      const left = [...picked];
      let refused = 0;
      const worker = async () => {
        for (let next = left.shift(); next; next = left.shift()) await change(action, next.session_id).catch(() => { refused += 1; });
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      if (refused > 0) say(t('bulk.refused', { count: refused }));
      done();
    },
  };
}

/** All that match are a filter and a time, not what is loaded: what comes later is left alone. */
export function questionOfAll(action: Action, filter: Filter, until: string, done: () => void): Question {
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  const narrowed = Object.keys(given).length > 0;
  const body = (dry_run: boolean) => ({ action, dry_run, filter: { ...given, until, ...(narrowed ? {} : { all: true }) } }) as SessionsBulk;
  return {
    title: t(`bulk.${action}.filter`), danger: action === 'delete', act: t('bulk.act'),
    text: <div className="stack"><p>{t('bulk.text')}</p><Forecast body={body(true)} /></div>,
    names: [...(narrowed ? Object.entries(given).map(([name, value]) => `${name.replace('_id', '')}: ${value}`) : [t('bulk.all')]), t('bulk.until', { time: exact(until) })],
    run: async () => {
      const begun = await ask(api.bulkSessions({ body: body(false), headers: once() }));
      done();
      say(<>{t('bulk.begun')} <Link to="/jobs/$id" params={{ id: begun.job_id }}>{t('bulk.watch')}</Link></>);
    },
  };
}

/** What the job would do, by a dry run of it. */
function Forecast({ body }: { body: SessionsBulk }) {
  const [dry, setDry] = useState<Job | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => { ask(api.bulkSessions({ body, headers: once() })).then(setDry, setError); }, []); // once: the question does not change while it is asked
  const watched = useQuery({ ...job(dry?.job_id ?? ''), enabled: dry !== null, refetchInterval: (query) => (query.state.data && query.state.data.status !== 'running' ? false : 400) });
  const ended = watched.data && watched.data.status !== 'running' ? watched.data : null;
  if (error !== null) return <Problem error={error} />;
  if (!ended) return <div className="skeleton" role="status" aria-label={t('loading')} />;
  return (
    <div className="row wrap" role="status">
      <strong>{t('bulk.total', { count: ended.total })}</strong>
      {(ended.outlook?.counts ?? []).map((count) => <span key={count.outcome} className="badge">{t('letters.outcome', { count: count.count, outcome: word('outcome', count.outcome) })}</span>)}
    </div>
  );
}

export const nameOf = (session: Session): string => `${session.template_id} ${short(session.session_id)}`;
