/** A slider over the life of a session: two points of its log, and what changed between them. */
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { Label, Slider, SliderThumb, SliderTrack } from 'react-aria-components';
import type { Event } from '~/api/generated/types.gen.ts';
import { changes, indexOf, points, usual } from '~/live/past.ts';
import { session } from '~/live/queries.ts';
import { type Key, t } from '~/text/index.ts';
import { Button, Shown, Time } from '~/ui/kit.tsx';
import { exact } from '~/ui/time.ts';

export function Past({ id, events, at, since }: { id: string; events: Event[]; at: string | undefined; since: string | undefined }) {
  const navigate = useNavigate();
  const times = points(events);
  const to = indexOf(times, at);
  const from = Math.min(to, since ? indexOf(times, since) : usual(times, to));
  const [held, setHeld] = useState<number[]>([from, to]);
  useEffect(() => setHeld([from, to]), [from, to]);
  if (times.length < 2) return null;
  const name = (point: number) => (times[point] ? exact(times[point]) : t('past.now'));
  const go = ([begin = 0, end = times.length]: number[]) => void navigate({ to: '/sessions/$id', params: { id }, search: { at: times[end], since: begin === usual(times, end) ? undefined : times[begin] } as never, replace: true, resetScroll: false });
  const step = (by: number) => { const end = Math.min(times.length, Math.max(1, to + by)); go([usual(times, end), end]); };
  return (
    <section className="card pad stack" aria-labelledby="past">
      <div className="section-head"><h2 id="past">{t('past')}</h2><span className="end row"><Button small isDisabled={to <= 1} onPress={() => step(-1)}>{t('past.back')}</Button><Button small isDisabled={to >= times.length} onPress={() => step(1)}>{t('past.on')}</Button></span></div>
      <Slider className="slider" minValue={0} maxValue={times.length} step={1} value={held} onChange={(value) => setHeld(value as number[])} onChangeEnd={(value) => go(value as number[])}>
        <Label className="visually-hidden">{t('past')}</Label>
        <SliderTrack className="track">
          {({ state }) => <>
            <span className="range" style={{ left: `${state.getThumbPercent(0) * 100}%`, right: `${100 - state.getThumbPercent(1) * 100}%` }} />
            {[0, 1].map((thumb) => <SliderThumb key={thumb} index={thumb} className="thumb" aria-label={t(thumb === 0 ? 'past.from' : 'past.to')} />)}
          </>}
        </SliderTrack>
      </Slider>
      <div className="row tiny soft"><span title={name(held[0] ?? 0)}>{t('past.from')} <Point time={times[held[0] ?? 0]} /></span><span className="grow" /><span title={name(held[1] ?? 0)}>{t('past.to')} <Point time={times[held[1] ?? 0]} /></span></div>
      <Changes id={id} from={times[from]} to={times[to]} />
    </section>
  );
}

const Point = ({ time }: { time: string | undefined }) => (time ? <Time at={time} /> : <>{t('past.now')}</>);

function Changes({ id, from, to }: { id: string; from: string | undefined; to: string | undefined }) {
  const one = useQuery({ ...session(id, from), staleTime: from ? Infinity : 0 }); // what was does not change
  const other = useQuery(session(id, to));
  const both = one.data && other.data ? { before: one.data, after: other.data } : undefined;
  return (
    <Shown query={{ data: both, error: one.error ?? other.error, refetch: () => { void one.refetch(); void other.refetch(); } }} rows={2}>{({ before, after }) => {
      const found = changes(before, after);
      if (found.length === 0) return <p className="small soft">{t('past.same')}</p>;
      return <dl className="facts changes">{found.map((change) => <div key={change.name}><dt>{t(`past.field.${change.name}` as Key)}</dt><dd><del>{change.before || t('past.nothing')}</del> → <ins>{change.after || t('past.nothing')}</ins></dd></div>)}</dl>;
    }}</Shown>
  );
}
