/** Whether all is well, what is not, and what to do about it. */
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { doctor, tasks } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question } from '~/ui/confirm.tsx';
import { Badge, Button, EntityLink, PageHead, Shown, Time, sentence } from '~/ui/kit.tsx';

export function Doctor() {
  const navigate = useNavigate();
  const query = useQuery(doctor);
  const loops = useQuery(tasks);
  const [question, setQuestion] = useState<Question | null>(null);
  const verify = () => setQuestion({ title: t('verify.title'), text: t('verify.text'), act: t('verify.go'), run: async () => { const job = await ask(api.verifyLog({ body: {}, headers: once() })); await navigate({ to: '/jobs/$id', params: { id: job.job_id } }); } });
  return (
    <div className="page">
      <PageHead title={t('nav.doctor')} text={t('doctor.text')}><Button onPress={verify}>{t('verify')}</Button><Button kind="primary" isDisabled={query.isFetching} onPress={() => void query.refetch()}>{t('doctor.again')}</Button></PageHead>
      <Shown query={query} rows={10}>{(told) => <>
        <p className={`note ${told.healthy ? 'good' : 'bad'}`} role="status">{told.healthy ? t('doctor.healthy') : t('doctor.ill')}</p>
        <ul className="card">{told.checks.map((check) => (
          <li key={check.name} className="mine" style={{ alignItems: 'flex-start', flexWrap: 'wrap' }}>
            <span style={{ width: 108, flex: 'none' }}><Badge of={check.verdict} text={word('verdict', check.verdict)} /></span>
            <div className="grow" style={{ flexBasis: 240 }}><h2>{sentence(check.name).slice(0, -1)}</h2><p className="soft small">{sentence(check.sentence)}</p>
              {check.findings.length > 0 && <ul className="stack" style={{ marginTop: 10 }}>{check.findings.map((finding, at) => <li key={at} className={`note ${finding.verdict === 'wrong' ? 'bad' : 'warn'}`}><div className="stack s"><span><EntityLink entity={finding.about.includes(':') ? finding.about : `entity:${finding.about}`} /> {sentence(finding.sentence)}</span><span className="strong">{sentence(finding.way_out)}</span></div></li>)}</ul>}
              {check.total > check.findings.length && <p className="tiny faint">{t('doctor.more', { count: check.total - check.findings.length })}</p>}
            </div>
          </li>
        ))}</ul>
      </>}</Shown>
      <section aria-labelledby="loops"><div className="section-head"><h2 id="loops">{t('tasks')}</h2></div>
        <Shown query={loops}>{(all) => <div className="table-wrap"><table aria-label={t('tasks')}><thead><tr><th>{t('fact.name')}</th><th>{t('column.status')}</th><th className="num">{t('tasks.restarts')}</th><th>{t('tasks.last')}</th><th className="hide-s">{t('tasks.error')}</th></tr></thead><tbody>{all.items.map((task) => <tr key={task.name}><td>{task.name} {!task.essential && <span className="tag">{t('tasks.supporting')}</span>}</td><td><Badge of={task.state} /></td><td className="num">{task.restarts}</td><td><Time at={task.last_run_at} /></td><td className="hide-s break soft">{task.error ?? '–'}</td></tr>)}</tbody></table></div>}</Shown>
      </section>
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </div>
  );
}
