/** What can be done with a session, for every page that shows one. */
import type { Session } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { cache } from '~/live/queries.ts';
import { newer } from '~/live/patch.ts';
import { type Key, t } from '~/text/index.ts';
import type { Question } from '~/ui/confirm.tsx';
import { short } from '~/ui/kit.tsx';

export type Verb = 'open' | 'wake' | 'hibernate' | 'delete' | 'retry';
const ENDS = ['deleting', 'deleted'];

/** The verbs that make sense now, the one next step first. */
export function verbs(session: Session): Verb[] {
  const { status, desired } = session;
  if (ENDS.includes(status) || desired === 'deleted') return status === 'failed' ? ['delete'] : [];
  const all: Verb[] = [];
  if (status === 'running' && desired === 'running') all.push('open', 'hibernate');
  else if (status === 'hibernated') all.push('open', 'wake');
  else if (status === 'failed') all.push('wake');
  else if (desired === 'running') all.push('open');
  all.push('delete');
  return all;
}

const label = (session: Session) => `${session.template_id} · ${session.user_id} · ${short(session.session_id)}`;
const keep = (session: Session) => {
  cache.setQueryData<Session>(['session', session.session_id], (before) => newer(before, session));
  return session;
};

/** Asks for a change. It is shown once the server has accepted it, and followed by the feed from then on. */
export async function change(verb: 'wake' | 'hibernate' | 'delete', id: string): Promise<Session> {
  const options = { path: { id }, headers: once() };
  if (verb === 'wake') return keep(await ask(api.wakeSession(options)));
  if (verb === 'hibernate') return keep(await ask(api.hibernateSession(options)));
  return keep(await ask(api.deleteSession(options)));
}

export function deletion(sessions: Session[]): Question {
  return {
    title: t('session.delete.title', { count: sessions.length }),
    text: t('session.delete.text'),
    names: sessions.map(label),
    act: t('session.delete.act', { count: sessions.length }),
    danger: true,
    run: () => Promise.all(sessions.map((session) => change('delete', session.session_id))),
  };
}

/** Why a session is not (yet) where it is to be, in words; null where there is nothing to say. */
export function why(session: Session): string | null {
  const { status, desired } = session;
  if (session.reason && (status === 'pending' || status === 'failed' || session.next_attempt_at)) return session.reason;
  if (status === 'failed') return session.message ?? t('why.failed');
  const key = `why.${status}` as Key;
  if (['creating', 'waking', 'hibernating', 'deleting'].includes(status)) return session.message ?? t(key);
  if (status === 'pending') return desired === 'running' ? session.message ?? t('why.pending') : null;
  if (status !== desired && desired === 'deleted') return t('why.deleting');
  return null;
}
