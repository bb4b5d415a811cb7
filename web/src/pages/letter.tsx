/** One dead letter: why, what it said and its exact bytes, what a replay would do, and the three ways out: replay, edit, discard. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { Suspense, lazy, useState } from 'react';
import type { DeadLetter } from '~/api/generated/types.gen.ts';
import * as api from '~/api/generated/sdk.gen.ts';
import { ask, once } from '~/api/http.ts';
import { diff, hex } from '~/live/diff.ts';
import { cache, letter } from '~/live/queries.ts';
import { t, word } from '~/text/index.ts';
import { Confirm, type Question, Window } from '~/ui/confirm.tsx';
import { Badge, Button, Code, EntityLink, Loading, PageHead, Problem, Shown, Time, sentence, short } from '~/ui/kit.tsx';
import { say } from '~/ui/toast.tsx';
import { Fate } from './session.tsx';

const Editor = lazy(() => import('~/ui/editor.tsx'));

export function LetterPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery(letter(id));
  return <div className="page"><Shown query={query}>{(read) => <Whole letter={read} />}</Shown></div>;
}

function Whole({ letter: read }: { letter: DeadLetter }) {
  const [question, setQuestion] = useState<Question | null>(null);
  const [edits, setEdits] = useState(false);
  const reload = () => void cache.invalidateQueries({ queryKey: ['letters'] });
  const open = read.status === 'open';
  const mine = open && !read.foreign;
  const dry = useQuery({ queryKey: ['letters', 'outlook', read.id], enabled: mine, staleTime: 0, retry: false, queryFn: () => ask(api.replayDeadLetter({ path: { id: read.id }, query: { dry_run: true } })) });
  const replay = async () => {
    const after = await ask(api.replayDeadLetter({ path: { id: read.id }, headers: once() }));
    say(after.note ? sentence(after.note) : t('letter.replayed'));
    reload();
  };
  const discard: Question = { title: t('letter.discard.title'), text: t('letters.discard.text'), names: [read.error], act: t('letters.discard'), danger: true, reason: true, run: async (reason) => { await ask(api.discardDeadLetter({ path: { id: read.id }, query: { reason }, headers: once() })); reload(); } };
  return (
    <>
      <PageHead title={t('letter.title', { id: short(read.id) })} crumb={<Link to="/dead-letters">{t('nav.letters')}</Link>} text={<span className="row wrap"><Badge of={open ? 'open_letter' : read.status} text={word('letter', read.status)} /><span>{word('reason', read.reason)}</span></span>}>
        {mine && <Button kind="primary" isDisabled={!!dry.error} onPress={() => setQuestion({ title: t('letter.replay.title'), text: dry.data?.outlook ? sentence(dry.data.outlook.text) : undefined, names: [read.entity ?? read.subject], act: t('letter.replay'), danger: !!dry.data?.outlook?.destroys, run: replay })}>{t('letter.replay')}</Button>}
        {mine && <Button onPress={() => setEdits(true)}>{t('letter.edit')}</Button>}
        {open && <Button kind="danger" onPress={() => setQuestion(discard)}>{t('letters.discard')}</Button>}
      </PageHead>
      {read.foreign && <p className="note warn">{sentence(read.foreign)}</p>}
      {read.note && <p className="note info">{sentence(read.note)}</p>}
      {mine && (
        <section className="card pad stack s" aria-labelledby="outlook"><h2 id="outlook">{t('letters.outlook')}</h2>
          {dry.error ? <Problem error={dry.error} /> : dry.data?.outlook ? <><p>{sentence(dry.data.outlook.text)}</p>{dry.data.outlook.destroys && <p className="note bad">{sentence(dry.data.outlook.destroys)}</p>}{dry.data.outlook.controller_id && <p className="small soft">{t('letter.outlook.by', { controller: dry.data.outlook.controller_id })}</p>}</> : dry.isFetching ? <div className="skeleton" /> : <p className="soft">{t('letter.outlook.none')}</p>}
        </section>
      )}
      <div className="two">
        <div className="stack l">
          <section className="card pad stack" aria-labelledby="error"><h2 id="error">{t('letter.error')}</h2><p className="break">{read.error}</p>
            {read.attempts.length > 0 && <ol className="line small">{read.attempts.map((attempt) => <li key={attempt.attempt} className="bad"><div className="row"><span className="break grow">{t('attempt', { attempt: attempt.attempt })}: {attempt.error}</span><Time at={attempt.at} /></div></li>)}</ol>}
          </section>
          <section className="card pad stack" aria-labelledby="content"><h2 id="content">{t('letter.content')}</h2>
            <div className="split"><div className="stack s"><h3>{t('letter.decoded')}</h3>{read.payload === null || read.payload === undefined ? <p className="soft small">{t('letter.not_json')}</p> : <Code value={read.payload} label={t('letter.decoded')} />}</div>
              <div className="stack s"><h3>{t('letter.bytes', { count: read.payload_bytes })}</h3><pre className="code bytes" tabIndex={0} aria-label={t('letter.bytes', { count: read.payload_bytes })}>{hex(read.payload_base64 ?? '')}</pre></div></div>
          </section>
          {read.edit && <section className="card pad stack" aria-labelledby="edited"><h2 id="edited">{t('letter.edited')}</h2><p className="small soft">{t('letter.edited.by', { by: read.edit.by, reason: read.edit.reason })}</p><Code value={read.edit.diff} /></section>}
        </div>
        <aside className="stack l"><section className="card pad" aria-label={t('facts')}><dl className="facts">
          <dt>{t('column.about')}</dt><dd><EntityLink entity={read.entity} /></dd><dt>{t('event.subject')}</dt><dd className="mono tiny">{read.subject}</dd>
          <dt>{t('fact.controller')}</dt><dd>{read.controller_id ?? '–'}</dd><dt>{t('column.times')}</dt><dd className="num">{read.count}</dd><dt>{t('letter.first')}</dt><dd><Time at={read.created_at} /></dd><dt>{t('letters.last')}</dt><dd><Time at={read.last_seen_at} /></dd>
          {read.settled_by && <><dt>{t('letter.settled')}</dt><dd>{read.settled_by}</dd></>}<dt>{t('column.cause')}</dt><dd><Link to="/dead-letters" search={{ fingerprint: read.fingerprint } as never}>{t('letter.same')}</Link></dd>
        </dl></section>
          {read.event_id && <section className="card pad"><Fate id={read.event_id} /></section>}
          {Array.isArray(read.headers) && read.headers.length > 0 && <section className="card pad stack s" aria-label={t('letter.headers')}><h2>{t('letter.headers')}</h2><dl className="stack s tiny">{(read.headers as [string, string][]).map(([name, value], at) => <div key={at}><dt className="faint">{name}</dt><dd className="mono break">{value}</dd></div>)}</dl></section>}
        </aside>
      </div>
      <Confirm question={question} onClose={() => setQuestion(null)} />
      {edits && <Edit letter={read} onClose={() => { setEdits(false); reload(); }} />}
    </>
  );
}

/** Correcting what it should have said: written, compared by the server and here, and sent only then. */
function Edit({ letter: read, onClose }: { letter: DeadLetter; onClose: () => void }) {
  const navigate = useNavigate();
  const before = read.payload === null || read.payload === undefined ? text(read.payload_base64) : JSON.stringify(read.payload, null, 2);
  const [after, setAfter] = useState(before);
  const [reason, setReason] = useState('');
  const [checked, setChecked] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const send = async (dry_run: boolean) => {
    setError(null);
    try {
      const payload = JSON.parse(after) as Record<string, unknown>;
      const edited = await ask(api.editDeadLetter({ path: { id: read.id }, body: { payload, reason, dry_run }, ...(dry_run ? {} : { headers: once() }) }));
      if (dry_run) return setChecked(after);
      say(t('letter.edited.sent'));
      onClose();
      await navigate({ to: '/dead-letters/$id', params: { id: edited.id } });
    } catch (problem) {
      setChecked(null);
      setError(problem);
    }
  };
  return (
    <Window wide open title={t('letter.edit.title')} onClose={onClose}>
      <p className="soft small">{t('letter.edit.text')}</p>
      <Suspense fallback={<Loading rows={6} />}><Editor language="json" value={after} label={t('letter.edit.payload')} onChange={(value) => { setAfter(value); setChecked(null); }} /></Suspense>
      {after !== before && <div><h3>{t('letter.diff')}</h3><pre className="code" tabIndex={0} aria-label={t('letter.diff')}>{diff(before, after).filter((line, at, all) => line.sign !== ' ' || all.slice(Math.max(0, at - 2), at + 3).some((near) => near.sign !== ' ')).map((line, at) => <div key={at} className={line.sign === '-' ? 'minus' : line.sign === '+' ? 'plus' : ''}>{`${line.sign} ${line.text}`}</div>)}</pre></div>}
      <label className="field"><span>{t('confirm.reason')}</span><input className="input" value={reason} maxLength={500} onChange={(event) => setReason(event.target.value)} /><span className="hint">{t('confirm.reason.hint')}</span></label>
      {error !== null && <Problem error={error} />}
      {checked !== null && <p className="note good">{t('letter.edit.fits')}</p>}
      <div className="end"><Button autoFocus onPress={onClose}>{t('act.cancel')}</Button><Button isDisabled={reason.trim() === ''} onPress={() => void send(true)}>{t('letter.edit.check')}</Button><Button kind="primary" isDisabled={checked !== after || reason.trim() === ''} onPress={() => void send(false)}>{t('letter.edit.send')}</Button></div>
    </Window>
  );
}

const text = (base64: string | null | undefined): string => new TextDecoder().decode(Uint8Array.from(atob(base64 ?? ''), (letter) => letter.charCodeAt(0)));
