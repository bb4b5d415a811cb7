/** Platforms, each with what an operator asks first: is it served, is something open, is there room, do versions agree. */
import type { Controller, Platform } from '~/api/generated/types.gen.ts';
import { type Summary, summaries } from '~/live/platforms.ts';
import { t, word } from '~/text/index.ts';
import { Badge, EntityLink, sentence } from '~/ui/kit.tsx';

export function Platforms({ platforms, controllers }: { platforms: Platform[]; controllers: Controller[] }) {
  const all = summaries(platforms, controllers);
  const served = all.filter((one) => one.platform.controllers > 0);
  const idle = all.filter((one) => one.platform.controllers === 0);
  return (
    <section aria-labelledby="platforms">
      <div className="section-head"><h2 id="platforms">{t('platforms')}</h2></div>
      {served.length > 0 && <ul className="grid">{served.map((one) => <Card key={one.platform.platform} of={one} />)}</ul>}
      {idle.length > 0 && <p className="small soft" style={{ marginTop: 12 }}>{t('platform.unserved')} {idle.map((one) => one.platform.platform).join(', ')}</p>}
    </section>
  );
}

function Card({ of: { platform, controllers, broken, lanes, versions, used, most } }: { of: Summary }) {
  const share = most === null ? 0 : most > 0 ? Math.min(100, (used / most) * 100) : 100;
  return (
    <li className="card pad stack">
      <div className="row"><h3 className="grow">{platform.platform}</h3><Badge of={platform.accepting ? 'ready' : 'unhealthy'} text={platform.accepting ? t('platform.accepting') : t('platform.not')} /></div>
      {!platform.accepting && platform.reason && <p className="small soft break">{sentence(platform.reason)}</p>}
      <dl className="facts">
        <dt>{t('platform.health')}</dt><dd className="num">{t('platform.health.of', { healthy: platform.healthy, count: controllers.length })}</dd>
        <dt>{t('column.breaker')}</dt><dd>{broken.length === 0 ? t('platform.closed') : <span className="row wrap">{broken.map((one) => <span key={one.controller_id} className="row"><Badge of={one.breaker.state} text={one.breaker.held ? t('breaker.held', { state: word('state', one.breaker.state) }) : word('breaker', one.breaker.state)} /><EntityLink entity={`controller:${one.controller_id}`} /></span>)}</span>}</dd>
        <dt>{t('controller.lane')}</dt><dd>{lanes.map((lane) => word('lane', lane)).join(', ') || '–'}</dd>
        <dt>{t('column.version')}</dt><dd>{versions.length > 1 ? <span className="row wrap"><Badge of="warning" text={t('platform.skew')} /><span>{versions.join(', ')}</span></span> : versions[0] ?? '–'}</dd>
        <dt>{t('column.room')}</dt><dd className="num">{most === null ? t('platform.used', { count: used }) : <>{t('controller.room', { used, most })}<div className="bar" role="presentation" style={{ marginTop: 4 }}><i className={share > 90 ? 'bad' : ''} style={{ width: `${share}%` }} /></div></>}</dd>
      </dl>
    </li>
  );
}
