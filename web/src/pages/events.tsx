/** Everything that happens, as it happens. A pause stops the view and loses nothing that fits into it. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';
import type { FeedItem } from '~/api/generated/types.gen.ts';
import { useFeedItems, useFeedState } from '~/feed/react.ts';
import { KEPT, fits, push } from '~/live/ring.ts';
import { t, word } from '~/text/index.ts';
import { Button, Code, Empty, EntityLink, PageHead, Pick, Time } from '~/ui/kit.tsx';
import { Fate } from './session.tsx';

type Query = { subject?: string; kind?: string; entity?: string };
/** Rows that are drawn; the others are kept. */
const DRAWN = 200;

export function Events() {
  const navigate = useNavigate();
  const query = useSearch({ strict: false }) as Query;
  const { phase } = useFeedState();
  const [items, setItems] = useState<FeedItem[]>([]);
  const [paused, setPaused] = useState(false);
  const held = useRef<FeedItem[]>([]);
  const [waiting, setWaiting] = useState(0);
  const [lost, setLost] = useState(0);
  const [shown, setShown] = useState<string | null>(null);
  const [subject, setSubject] = useState(query.subject ?? '');
  useFeedItems((batch) => {
    if (paused) {
      const kept = [...held.current, ...batch].slice(-KEPT); // oldest first
      setLost((before) => before + held.current.length + batch.length - kept.length);
      held.current = kept;
      setWaiting(kept.length);
    } else {
      setItems((before) => push(before, batch));
    }
  });
  const resume = () => {
    setItems((before) => push(before, held.current));
    held.current = [];
    setWaiting(0);
    setLost(0);
    setPaused(false);
  };
  const go = (search: Query) => void navigate({ to: '/events', search: { ...query, ...search } as never, replace: true });
  const found = useMemo(() => items.filter((item) => fits(item, query)), [items, query.subject, query.kind, query.entity]);
  return (
    <div className="page">
      <PageHead title={t('nav.events')} text={t('events.text')}>
        {paused ? <Button kind="primary" onPress={resume}>{waiting > 0 ? t('events.resume', { count: waiting }) : t('events.resume.none')}</Button> : <Button onPress={() => setPaused(true)}>{t('events.pause')}</Button>}
      </PageHead>
      <div className="toolbar">
        <form className="search" style={{ maxWidth: 380 }} onSubmit={(event) => { event.preventDefault(); go({ subject: subject || undefined }); }}><input className="input mono" style={{ paddingLeft: 10 }} aria-label={t('events.subject')} placeholder="streamspace.session.>" value={subject} onChange={(event) => setSubject(event.target.value)} onBlur={() => go({ subject: subject || undefined })} /></form>
        <Pick label={t('events.kind')} value={query.kind} onChange={(kind) => go({ kind })} options={['command', 'report', 'decision'].map((kind) => [kind, word('kind', kind)])} />
        <Pick label={t('events.noun')} value={query.entity} onChange={(entity) => go({ entity })} options={['session', 'application', 'controller', 'template', 'job', 'dead_letter'].map((noun) => [noun, word('noun', noun)])} />
      </div>
      {lost > 0 && <p className="note warn">{t('events.lost', { count: lost, kept: KEPT })}</p>}
      {found.length === 0 ? <Empty title={items.length === 0 ? 'events.none' : 'empty.matches'} text={items.length === 0 ? (phase === 'live' ? 'events.none.text' : 'events.none.cut') : 'events.matches.text'} /> : (
        <div className="table-wrap"><table aria-label={t('nav.events')}>
          <thead><tr><th>{t('column.when')}</th><th>{t('column.what')}</th><th>{t('column.about')}</th><th className="hide-s">{t('event.subject')}</th></tr></thead>
          <tbody>{found.slice(0, DRAWN).map((item) => <Row key={item.id} item={item} open={shown === item.id} toggle={() => setShown(shown === item.id ? null : item.id)} />)}</tbody>
        </table></div>
      )}
      {found.length > DRAWN && <p className="small soft">{t('events.drawn', { count: found.length, drawn: DRAWN })}</p>}
    </div>
  );
}

function Row({ item, open, toggle }: { item: FeedItem; open: boolean; toggle: () => void }) {
  const said = (item.payload ?? {}) as { status?: string; decision?: string };
  return (
    <>
      <tr className="link" onClick={(event) => { if (!(event.target as HTMLElement).closest('a, button')) toggle(); }}>
        <td><button type="button" className="btn ghost small" aria-expanded={open} onClick={toggle}><Time at={item.at} /></button></td>
        <td><span className="tag">{word('kind', item.kind)}</span> {word('report', said.decision ?? said.status ?? item.subject.split('.')[2] ?? '')}</td><td><EntityLink entity={item.entity} /></td><td className="hide-s mono tiny break">{item.subject}</td>
      </tr>
      {open && <tr><td colSpan={4}><div className="stack"><Fate id={item.event_id} />{item.changes ? <Code value={item.changes} label={t('event.changes')} /> : null}<Code value={item.payload} label={t('event.payload')} /></div></td></tr>}
    </>
  );
}
