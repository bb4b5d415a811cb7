/** What a running session uses, as a small chart of what was seen since its page was opened. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import type uPlot from 'uplot';
import type { Session } from '~/api/generated/types.gen.ts';
import { session } from '~/live/queries.ts';
import { EVERY_MS, type Sample, bytes, quantity, sample } from '~/live/usage.ts';
import { t } from '~/text/index.ts';

export function Usage({ session: current }: { session: Session }) {
  const running = current.status === 'running';
  // use is in no log, so no feed tells it
  const read = useQuery({ ...session(current.session_id), refetchInterval: running ? EVERY_MS : false });
  if (!running || !current.resource_usage) return null;
  const ring = sample(current, read.dataUpdatedAt);
  const last = ring.at(-1);
  return (
    <section className="card pad stack" aria-labelledby="usage">
      <h2 id="usage">{t('usage')}</h2>
      {last?.cpu !== null && last && <Chart label={t('usage.cpu')} now={last.cpu.toFixed(2)} most={quantity(current.resources.cpu)} samples={ring} of="cpu" />}
      {last?.memory !== null && last && <Chart label={t('usage.memory')} now={bytes(last.memory)} most={quantity(current.resources.memory)} samples={ring} of="memory" />}
      <p className="tiny faint">{t('usage.hint')}</p>
    </section>
  );
}

const HEIGHT = 44;

function Chart({ label, now, most, samples, of }: { label: string; now: string; most: number | null; samples: Sample[]; of: 'cpu' | 'memory' }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data: [number[], (number | null)[]] = [samples.map((one) => one.at / 1_000), samples.map((one) => one[of])];
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    let gone = false;
    void import('uplot').then(({ default: Plot }) => {
      if (gone || !box.current) return;
      const style = getComputedStyle(document.documentElement);
      plot.current = new Plot({
        width: box.current.clientWidth, height: HEIGHT, padding: [4, 2, 4, 2], cursor: { show: false }, legend: { show: false }, axes: [{ show: false }, { show: false }],
        scales: { y: { range: (_, __, max) => [0, most ?? Math.max(max ?? 0, 1e-9) * 1.2] } },
        series: [{}, { stroke: style.getPropertyValue('--accent').trim(), fill: style.getPropertyValue('--accent-soft').trim(), width: 1.5, points: { show: samples.length < 3 } }],
      }, latest.current, box.current);
    });
    return () => { gone = true; plot.current?.destroy(); plot.current = null; };
  }, []); // made once; the rest is given to it
  useEffect(() => plot.current?.setData(latest.current), [samples]);
  const limit = most === null ? '' : ` ${t('usage.of', { most: of === 'cpu' ? String(most) : bytes(most) })}`;
  return <figure aria-label={`${label}: ${now}${limit}`}><figcaption className="row small"><span className="soft grow">{label}</span><span className="num">{now}<span className="faint">{limit}</span></span></figcaption><div ref={box} style={{ height: HEIGHT }} aria-hidden="true" /></figure>;
}
