/** Jobs: actions on many things at once, with their progress, what was refused, and the ways to stop one or go on. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { Job } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { back, find, here, onwards, start, type Trail } from '~/live/cursors.ts';
import { cache, job, jobs } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Badge, Button, Empty, EntityLink, PageHead, Pager, Pick, Shown, Time, sentence, short, useNow } from '~/ui/kit.tsx';
import { length } from '~/ui/time.ts';

const KINDS = ['sessions.hibernate', 'sessions.wake', 'sessions.delete', 'sessions.move', 'dead_letters.replay', 'dead_letters.discard', 'log.verify'];
const STATES = ['running', 'halted', 'completed', 'cancelled'];
type Query = { status?: string; kind?: string; cursor?: string };

const worked = (one: Job) => one.done + one.skipped + one.failed;

function Bar({ of: one }: { of: Job }) {
  const share = one.total > 0 ? Math.min(100, (worked(one) / one.total) * 100) : one.status === 'running' ? 0 : 100;
  return <div className="bar" role="progressbar" aria-label={t('job.progress')} aria-valuenow={Math.round(share)} aria-valuemin={0} aria-valuemax={100}><i className={one.status === 'halted' ? 'bad' : one.status === 'completed' ? 'good' : ''} style={{ width: `${share}%` }} /></div>;
}

export function Jobs() {
  const navigate = useNavigate();
  const query = useSearch({ strict: false }) as Query;
  const [trail, setTrail] = useState<Trail>(() => find(start, query.cursor));
  useEffect(() => setTrail((before) => find(before, query.cursor)), [query.cursor]);
  const listed = useQuery(jobs(query));
  const go = (search: Query) => void navigate({ to: '/jobs', search: { ...query, cursor: undefined, ...search } as never });
  const to = (next: Trail) => { setTrail(next); go({ cursor: here(next) ?? undefined }); };
  return (
    <div className="page">
      <PageHead title={t('nav.jobs')} text={t('jobs.text')} />
      <div className="toolbar"><Pick label={t('filter.status')} value={query.status} onChange={(status) => go({ status })} options={STATES.map((state) => [state, word('state', state)])} /><Pick label={t('jobs.kind')} value={query.kind} onChange={(kind) => go({ kind })} options={KINDS.map((kind) => [kind, word('job', kind)])} /></div>
      <Shown query={listed}>{(page) => page.items.length === 0 ? (query.status || query.kind ? <Empty title="empty.matches" text="jobs.matches.text"><Button onPress={() => go({ status: undefined, kind: undefined })}>{t('act.clear')}</Button></Empty> : <Empty title="jobs.none" text="jobs.none.text" />) : <>
        <div className="table-wrap"><table aria-label={t('nav.jobs')}>
          <thead><tr><th>{t('column.job')}</th><th>{t('column.status')}</th><th style={{ width: '26%' }}>{t('job.progress')}</th><th className="hide-s">{t('column.by')}</th><th>{t('column.created')}</th></tr></thead>
          <tbody>{page.items.map((one) => (
            <tr key={one.job_id} className="link" onClick={(event) => { if (!(event.target as HTMLElement).closest('a')) void navigate({ to: '/jobs/$id', params: { id: one.job_id } }); }}>
              <td><Link to="/jobs/$id" params={{ id: one.job_id }} className="strong" style={{ color: 'inherit' }}>{word('job', one.kind)}</Link> {one.dry_run && <span className="tag">{t('job.dry')}</span>} <span className="mono tiny faint">{short(one.job_id)}</span></td>
              <td><Badge of={one.status} /></td><td><Bar of={one} /><span className="tiny faint num">{t('job.of', { done: worked(one), total: one.total })}</span></td><td className="hide-s">{one.created_by}</td><td><Time at={one.created_at} /></td>
            </tr>
          ))}</tbody>
        </table></div>
        <Pager first={trail.length === 1} next={!!page.next_cursor} onFirst={() => to(start)} onBack={() => to(back(trail))} onNext={() => page.next_cursor && to(onwards(trail, page.next_cursor))} />
      </>}</Shown>
    </div>
  );
}

export function JobPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery({ ...job(id), refetchInterval: (read) => (read.state.data?.status === 'running' ? 2_000 : false) });
  return <div className="page"><Shown query={query}>{(one) => <Whole one={one} />}</Shown></div>;
}

function Whole({ one }: { one: Job }) {
  const now = useNow();
  const [question, setQuestion] = useState<Question | null>(null);
  const path = { id: one.job_id };
  const again = () => cache.invalidateQueries({ queryKey: ['job', one.job_id] });
  const seconds = ((one.finished_at ? Date.parse(one.finished_at) : now) - Date.parse(one.created_at)) / 1000;
  const rate = seconds > 0 ? worked(one) / seconds : 0;
  const left = one.status === 'running' && rate > 0 ? ((one.total - worked(one)) / rate) * 1000 : null;
  return (
    <>
      <PageHead title={word('job', one.kind)} crumb={<Link to="/jobs">{t('nav.jobs')}</Link>} text={<span className="row wrap"><Badge of={one.status} />{one.dry_run && <span className="tag">{t('job.dry')}</span>}<span className="mono tiny">{short(one.job_id)}</span></span>}>
        {one.status === 'halted' && <Button kind="primary" onPress={() => setQuestion({ title: t('job.resume.title'), text: sentence(one.reason ?? ''), act: t('job.resume'), run: () => ask(api.resumeJob({ path, headers: once() })).then(again) })}>{t('job.resume')}</Button>}
        {['running', 'halted'].includes(one.status) && <Button kind="danger" onPress={() => setQuestion({ title: t('job.cancel.title'), text: t('job.cancel.text'), act: t('job.cancel'), danger: true, run: () => ask(api.cancelJob({ path, headers: once() })).then(again) })}>{t('job.cancel')}</Button>}
      </PageHead>
      {one.reason && <p className={`note ${one.status === 'halted' ? 'bad' : ''}`}>{sentence(one.reason)}</p>}
      <section className="card pad stack" aria-label={t('job.progress')}><Bar of={one} />
        <dl className="facts"><dt>{t('job.done')}</dt><dd className="num">{t('job.of', { done: one.done, total: one.total })}</dd><dt>{t('job.skipped')}</dt><dd className="num">{one.skipped}</dd><dt>{t('job.failed')}</dt><dd className="num">{one.failed}</dd><dt>{t('job.rate')}</dt><dd className="num">{t('job.rate.of', { rate: rate.toFixed(rate < 10 ? 1 : 0) })}{left !== null && <span className="faint"> · {t('job.left', { time: length(left) })}</span>}</dd>{one.filter ? <><dt>{t('job.filter')}</dt><dd className="mono tiny break">{JSON.stringify(one.filter)}</dd></> : null}<dt>{t('column.by')}</dt><dd>{one.created_by}, <Time at={one.created_at} /></dd></dl>
      </section>
      {one.canary && <section className="card pad stack" aria-labelledby="canary"><div className="row"><h2 id="canary" className="grow">{t('job.canary', { count: one.canary.size })}</h2><Badge of={one.canary.stage === 'failed' ? 'failed' : one.canary.stage} /></div><ul className="stack s small">{one.canary.tries.map((tried) => <li key={tried.letter_id} className="row wrap"><Badge of={tried.outcome} /><EntityLink entity={`dead_letter:${tried.letter_id}`} />{tried.error && <span className="break soft">{tried.error}</span>}</li>)}</ul></section>}
      {one.outlook && <section className="card pad stack" aria-labelledby="outlook"><h2 id="outlook">{t('job.outlook')}</h2><div className="row wrap">{one.outlook.counts.map((count) => <span key={count.outcome} className="badge">{t('letters.outcome', { count: count.count, outcome: word('outcome', count.outcome) })}</span>)}</div><ul className="stack s small">{one.outlook.items.map((item) => <li key={item.id}><EntityLink entity={item.entity ?? `session:${item.id}`} /> <span className="soft">{sentence(item.text)}</span></li>)}</ul></section>}
      {one.failures.length > 0 && <section aria-labelledby="failures"><div className="section-head"><h2 id="failures">{t('job.failures')}</h2></div><div className="table-wrap"><table aria-label={t('job.failures')}><thead><tr><th>{t('job.item')}</th><th>{t('problem')}</th></tr></thead><tbody>{one.failures.map((failure) => <tr key={failure.id}><td><EntityLink entity={one.kind.startsWith('sessions') ? `session:${failure.id}` : one.kind.startsWith('dead') ? `dead_letter:${failure.id}` : `entity:${failure.id}`} /></td><td>{sentence(failure.detail)} <a className="tiny" href={`problems/${failure.type}`} target="_blank" rel="noreferrer">{failure.type}</a></td></tr>)}</tbody></table></div></section>}
      {one.scan && <section className="card pad stack" aria-labelledby="scan"><h2 id="scan">{t('job.scan')}</h2><p className="small soft">{t('job.scan.of', { events: one.scan.events, entities: one.scan.entities, found: one.scan.found })}</p><ul className="stack s small">{one.scan.findings.map((finding) => <li key={finding.entity}><EntityLink entity={finding.entity} /> <span className="tag">{finding.what}</span> <span className="soft">{sentence(finding.advice)}</span></li>)}</ul></section>}
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </>
  );
}
