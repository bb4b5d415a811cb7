/** What waits for what, in words, and in which place. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { back, find, here, onwards, start, type Trail } from '~/live/cursors.ts';
import { queue, queueSums } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Button, Empty, EntityLink, PageHead, Pager, Shown, Time, sentence } from '~/ui/kit.tsx';

type Query = { platform?: string; controller_id?: string; user_id?: string; cursor?: string };

export function Queue() {
  const navigate = useNavigate();
  const query = useSearch({ strict: false }) as Query;
  const [trail, setTrail] = useState<Trail>(() => find(start, query.cursor));
  useEffect(() => setTrail((before) => find(before, query.cursor)), [query.cursor]);
  const sums = useQuery(queueSums);
  const listed = useQuery(queue(query));
  const go = (search: Query) => void navigate({ to: '/queue', search: { ...query, cursor: undefined, ...search } as never });
  const to = (next: Trail) => { setTrail(next); go({ cursor: here(next) ?? undefined }); };
  const given = (['platform', 'controller_id', 'user_id'] as const).filter((name) => query[name]);
  return (
    <div className="page">
      <PageHead title={t('nav.queue')} text={t('queue.text')} />
      {sums.data && sums.data.items.length > 0 && <ul className="grid" aria-label={t('queue.sums')}>{sums.data.items.map((sum) => (
        <li key={`${sum.platform}${sum.controller_id}${sum.waits_for}`} className="card pad stack s"><div className="row"><span className="strong num" style={{ fontSize: 20 }}>{sum.count}</span><span className="grow soft small">{word('waits', sum.waits_for)}</span></div><div className="row small"><button type="button" className="chip" onClick={() => go({ platform: sum.platform })}>{sum.platform}</button>{sum.controller_id && <button type="button" className="chip" onClick={() => go({ controller_id: sum.controller_id ?? undefined })}>{sum.controller_id}</button>}<span className="grow" /><span className="tiny faint">{t('queue.oldest')} <Time at={sum.oldest_since} /></span></div></li>
      ))}</ul>}
      {given.length > 0 && <div className="chips">{given.map((name) => <button key={name} type="button" className="chip" aria-pressed="true" onClick={() => go({ [name]: undefined })}>{query[name]} ×</button>)}</div>}
      <Shown query={listed}>{(page) => page.items.length === 0 ? (given.length > 0 ? <Empty title="empty.matches" text="queue.matches.text"><Button onPress={() => void navigate({ to: '/queue', search: {} as never })}>{t('act.clear')}</Button></Empty> : <Empty title="queue.none" text="queue.none.text"><Link className="btn" to="/sessions">{t('nav.sessions')}</Link></Empty>) : <>
        <div className="table-wrap"><table aria-label={t('nav.queue')}>
          <thead><tr><th>{t('column.about')}</th><th className="hide-s">{t('queue.wants')}</th><th>{t('queue.waits')}</th><th className="hide-s">{t('column.where')}</th><th>{t('queue.since')}</th></tr></thead>
          <tbody>{page.items.map((entry) => (
            <tr key={entry.command_id}><td><EntityLink entity={entry.entity} /><div className="sub">{entry.user_id}</div></td><td className="hide-s">{word('command', entry.verb ?? '')}{entry.attempt > 1 && <div className="sub">{t('attempt', { attempt: entry.attempt })}</div>}</td>
              <td>{word('waits', entry.waits_for)}{entry.place > 0 && <span className="faint tiny"> · {t('queue.place', { place: entry.place })}</span>}{entry.reason && <div className="sub break">{sentence(entry.reason)}</div>}{entry.next_attempt_at && <div className="sub">{t('queue.next')} <Time at={entry.next_attempt_at} /></div>}</td>
              <td className="hide-s">{entry.platform}{entry.controller_id && <div className="sub">{entry.controller_id}</div>}</td><td><Time at={entry.since} /></td></tr>
          ))}</tbody>
        </table></div>
        <Pager first={trail.length === 1} next={!!page.next_cursor} onFirst={() => to(start)} onBack={() => to(back(trail))} onNext={() => page.next_cursor && to(onwards(trail, page.next_cursor))} />
      </>}</Shown>
    </div>
  );
}
