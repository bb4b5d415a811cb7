/** Dead letters: by cause first, then one by one. A cause is replayed or discarded as a whole, after a look at what would happen. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { Cause, DeadLetter, Job } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { back, find, here, onwards, start, type Trail } from '~/live/cursors.ts';
import { causes, job, letters } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question, Window } from '~/ui/confirm.tsx';
import { Badge, Button, Empty, EntityLink, PageHead, Pager, Pick, Problem, Search, Shown, Time, sentence, short } from '~/ui/kit.tsx';
import { say } from '~/ui/toast.tsx';

type Query = { view?: string; status?: string; reason?: string; platform?: string; controller_id?: string; fingerprint?: string; q?: string; cursor?: string };
const STATES = ['open', 'replayed', 'discarded'];

export function Letters() {
  const navigate = useNavigate();
  const { view, ...query } = useSearch({ strict: false }) as Query;
  const [trail, setTrail] = useState<Trail>(() => find(start, query.cursor));
  useEffect(() => setTrail((before) => find(before, query.cursor)), [query.cursor]);
  const listed = view === 'list' || !!query.fingerprint;
  const go = (search: Query) => void navigate({ to: '/dead-letters', search: { view, ...query, cursor: undefined, ...search } as never });
  const to = (next: Trail) => { setTrail(next); go({ cursor: here(next) ?? undefined }); };
  const [text, setText] = useState(query.q ?? '');
  useEffect(() => setText(query.q ?? ''), [query.q]);
  const filtered = Object.entries(query).some(([name, value]) => value && name !== 'cursor');
  const wanted = { ...query, status: query.status ?? 'open' };
  return (
    <div className="page">
      <PageHead title={t('nav.letters')} text={t('letters.text')} />
      <div className="toolbar">
        <div className="chips" role="group" aria-label={t('letters.view')}>
          <button type="button" className="chip" aria-pressed={!listed} onClick={() => go({ view: undefined, fingerprint: undefined })}>{t('letters.by_cause')}</button>
          <button type="button" className="chip" aria-pressed={listed} onClick={() => go({ view: 'list' })}>{t('letters.one_by_one')}</button>
        </div>
        <form onSubmit={(event) => { event.preventDefault(); go({ q: text || undefined }); }} className="grow row"><Search value={text} onChange={setText} label={t('letters.search')} /></form>
        <Pick label={t('filter.status')} all={word('letter', 'open')} value={query.status === 'open' ? undefined : query.status} onChange={(status) => go({ status })} options={STATES.slice(1).map((state) => [state, word('letter', state)])} />
        {query.fingerprint && <button type="button" className="chip" aria-pressed="true" onClick={() => go({ fingerprint: undefined })}>{t('letters.one_cause')} ×</button>}
      </div>
      {listed
        ? <List query={wanted} filtered={filtered} trail={trail} to={to} clear={() => void navigate({ to: '/dead-letters', search: {} as never })} />
        : <Causes query={wanted} filtered={filtered} trail={trail} to={to} clear={() => void navigate({ to: '/dead-letters', search: {} as never })} />}
    </div>
  );
}

type Listing = { query: Query; filtered: boolean; trail: Trail; to: (trail: Trail) => void; clear: () => void };
const Nothing = ({ filtered, clear }: { filtered: boolean; clear: () => void }) => filtered
  ? <Empty title="empty.matches" text="letters.matches.text"><Button onPress={clear}>{t('act.clear')}</Button></Empty>
  : <Empty title="letters.none" text="letters.none.text" />;

function Causes({ query, filtered, trail, to, clear }: Listing) {
  const found = useQuery(causes(query as Record<string, string | undefined>));
  const [replay, setReplay] = useState<Cause | null>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  return (
    <Shown query={found}>{(page) => page.items.length === 0 ? <Nothing filtered={filtered} clear={clear} /> : <>
      <ul className="stack">{page.items.map((cause) => (
        <li key={cause.fingerprint + cause.controller_id} className="card pad stack">
          <div className="row wrap"><Badge of={cause.open > 0 ? 'open' : 'replayed'} text={word('reason', cause.reason)} /><span className="strong num">{t('letters.count', { count: cause.count })}</span><span className="grow" /><span className="tiny faint">{t('letters.last')} <Time at={cause.last_at} /></span></div>
          <p className="break">{cause.error}</p>
          <div className="row wrap small soft"><span className="mono tiny">{cause.subject}</span>{cause.platform && <span className="tag">{cause.platform}</span>}{cause.controller_id && <EntityLink entity={`controller:${cause.controller_id}`} />}</div>
          <div className="row wrap">
            {cause.open > 0 && <Button small kind="primary" onPress={() => setReplay(cause)}>{t('letters.replay', { count: cause.open })}</Button>}
            {cause.open > 0 && <Button small onPress={() => setQuestion(discard(cause))}>{t('letters.discard')}</Button>}
            <Link className="btn small" to="/dead-letters" search={{ fingerprint: cause.fingerprint, status: query.status } as never}>{t('letters.show')}</Link>
            <Link className="btn small ghost" to="/dead-letters/$id" params={{ id: cause.latest_id }}>{t('letters.latest')}</Link>
          </div>
        </li>
      ))}</ul>
      <Pager first={trail.length === 1} next={!!page.next_cursor} onFirst={() => to(start)} onBack={() => to(back(trail))} onNext={() => page.next_cursor && to(onwards(trail, page.next_cursor))} />
      {replay && <Replay cause={replay} onClose={() => setReplay(null)} />}
      <Confirm question={question} onClose={() => setQuestion(null)} />
    </>}</Shown>
  );
}

const discard = (cause: Cause): Question => ({
  title: t('letters.discard.title', { count: cause.open }), text: t('letters.discard.text'), names: [cause.error], act: t('letters.discard'), danger: true, reason: true,
  run: async (reason) => {
    const begun = await ask(api.closeDeadLetters({ body: { filter: { fingerprint: cause.fingerprint }, reason }, headers: once() }));
    say(<>{t('bulk.begun')} <Link to="/jobs/$id" params={{ id: begun.job_id }}>{t('bulk.watch')}</Link></>);
  },
});

/** Replaying many: first a dry run that says what would become of each, then a few, then all. */
function Replay({ cause, onClose }: { cause: Cause; onClose: () => void }) {
  const navigate = useNavigate();
  const [canary, setCanary] = useState('1');
  const [rate, setRate] = useState('');
  const [error, setError] = useState<unknown>(null);
  const [dry, setDry] = useState<Job | null>(null);
  const watched = useQuery({ ...job(dry?.job_id ?? ''), enabled: dry !== null, refetchInterval: (query) => (query.state.data && query.state.data.status !== 'running' ? false : 500) });
  const body = (dry_run: boolean) => ({ filter: { fingerprint: cause.fingerprint }, dry_run, ...(canary && !dry_run ? { canary: Number(canary) } : {}), ...(rate && !dry_run ? { rate: Number(rate) } : {}) });
  useEffect(() => { ask(api.bulkDeadLetters({ body: body(true), headers: once() })).then(setDry, setError); }, [cause.fingerprint]); // eslint-disable-line
  const run = () => ask(api.bulkDeadLetters({ body: body(false), headers: once() })).then((begun) => navigate({ to: '/jobs/$id', params: { id: begun.job_id } }), setError);
  const outlook = watched.data?.outlook;
  return (
    <Window wide open title={t('letters.replay', { count: cause.open })} onClose={onClose}>
      <p className="soft small break">{cause.error}</p>
      <section style={{ padding: 0 }} aria-label={t('letters.outlook')} className="stack">
        <h3>{t('letters.outlook')}</h3>
        {!watched.data || watched.data.status === 'running' ? <div className="skeleton" /> : <>
          <div className="row wrap">{(outlook?.counts ?? []).map((count) => <span key={count.outcome} className="badge">{t('letters.outcome', { count: count.count, outcome: word('outcome', count.outcome) })}</span>)}</div>
          <ul className="names">{(outlook?.items ?? []).slice(0, 20).map((item) => <li key={item.id}><EntityLink entity={item.entity} /> {sentence(item.text)} {item.destroys && <strong style={{ color: 'var(--bad)' }}>{sentence(item.destroys)}</strong>}</li>)}{watched.data.failures.slice(0, 20).map((failure) => <li key={failure.id}><span className="mono">{short(failure.id)}</span> {sentence(failure.detail)}</li>)}</ul>
        </>}
      </section>
      <div className="row wrap">
        <label className="field"><span>{t('letters.canary')}</span><input className="input" inputMode="numeric" style={{ width: 90 }} value={canary} onChange={(event) => setCanary(event.target.value.replace(/\D/g, ''))} /></label>
        <label className="field"><span>{t('letters.rate')}</span><input className="input" inputMode="numeric" style={{ width: 90 }} value={rate} placeholder="–" onChange={(event) => setRate(event.target.value.replace(/\D/g, ''))} /></label>
      </div>
      <p className="tiny faint">{t('letters.canary.hint')}</p>
      {error !== null && <Problem error={error} />}
      <div className="end"><Button autoFocus onPress={onClose}>{t('act.cancel')}</Button><Button kind="primary" onPress={() => void run()}>{t('letters.replay.go')}</Button></div>
    </Window>
  );
}

function List({ query, filtered, trail, to, clear }: Listing) {
  const navigate = useNavigate();
  const found = useQuery(letters(query as Record<string, string | undefined>));
  return (
    <Shown query={found}>{(page) => page.items.length === 0 ? <Nothing filtered={filtered} clear={clear} /> : <>
      <div className="table-wrap"><table aria-label={t('nav.letters')}>
        <thead><tr><th>{t('column.cause')}</th><th>{t('column.about')}</th><th className="hide-s">{t('column.times')}</th><th>{t('column.status')}</th><th>{t('column.last')}</th></tr></thead>
        <tbody>{page.items.map((letter: DeadLetter) => (
          <tr key={letter.id} className="link" onClick={(event) => { if (!(event.target as HTMLElement).closest('a')) void navigate({ to: '/dead-letters/$id', params: { id: letter.id } }); }}>
            <td><Link to="/dead-letters/$id" params={{ id: letter.id }} className="strong" style={{ color: 'inherit' }}>{word('reason', letter.reason)}</Link><div className="sub break">{letter.error.slice(0, 160)}</div></td>
            <td><EntityLink entity={letter.entity} /></td><td className="hide-s num">{letter.count}</td><td><Badge of={letter.status === 'open' ? 'open_letter' : letter.status} text={word('letter', letter.status)} /></td><td><Time at={letter.last_seen_at} /></td>
          </tr>
        ))}</tbody>
      </table></div>
      <Pager first={trail.length === 1} next={!!page.next_cursor} onFirst={() => to(start)} onBack={() => to(back(trail))} onNext={() => page.next_cursor && to(onwards(trail, page.next_cursor))} />
    </>}</Shown>
  );
}
