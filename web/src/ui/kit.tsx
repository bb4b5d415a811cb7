/** The small parts that every page is made of. */
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState, useSyncExternalStore } from 'react';
import { Button as AriaButton, type ButtonProps, Menu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { type Key, t, word } from '~/text/index.ts';
import { refusal } from '~/api/http.ts';
import { exact, relative } from './time.ts';
import { Icon } from './icons.tsx';

type Look = { start?: boolean;  kind?: 'primary' | 'danger' | 'ghost' | undefined; small?: boolean; icon?: boolean; solid?: boolean; wide?: boolean };
const look = ({ kind, small, icon, solid, wide, start }: Look) =>
  ['btn', kind, small && 'small', icon && 'icon', solid && 'solid', wide && 'wide', start && 'start'].filter(Boolean).join(' ');

export function Button({ kind, small, icon, solid, wide, start, ...rest }: ButtonProps & Look) {
  return <AriaButton {...rest} className={look({ kind, small, icon, solid, wide, start })} />;
}

export function ButtonLink({ href, children, external, ...rest }: Look & { href: string; children: ReactNode; external?: boolean }) {
  const props = external ? { target: '_blank', rel: 'noopener noreferrer' } : {};
  return <a className={look(rest)} href={href} {...props}>{children}</a>;
}

const TONES: Record<string, string> = {
  running: 'good', ready: 'good', healthy: 'good', completed: 'good', closed: 'good', ok: 'good', replayed: 'good', passed: 'good', acknowledged: 'good',
  pending: 'warn', waiting: 'warn', unknown: 'warn', warning: 'warn', halted: 'warn', half_open: 'warn', retrying: 'warn', queued: 'warn', open_letter: 'bad',
  creating: 'info', waking: 'info', hibernating: 'info', installing: 'info', uninstalling: 'info', in_flight: 'info', working: 'info', processing: 'info', published: 'info', trying: 'info',
  hibernated: 'sleep', failed: 'bad', unhealthy: 'bad', wrong: 'bad', open: 'bad', dead_lettered: 'bad', restarting: 'bad', stopped: 'bad',
};

export function Badge({ of, text }: { of: string; text?: string }) {
  return <span className={`badge ${TONES[of] ?? ''}`}>{text ?? word('state', of)}</span>;
}

const ticks = new Set<() => void>();
let now = Date.now();
setInterval(() => {
  now = Date.now();
  for (const tick of ticks) tick();
}, 5_000);
const subscribe = (tick: () => void) => {
  ticks.add(tick);
  return () => void ticks.delete(tick);
};
export const useNow = (): number => useSyncExternalStore(subscribe, () => now);

/** A moment: how long ago or until, and the exact time in the viewer's zone on hover. */
export function Time({ at }: { at: string | null | undefined }) {
  const moment = useNow();
  if (!at) return <span className="faint">–</span>;
  return <time dateTime={at} title={exact(at)} className="nowrap num">{relative(at, moment)}</time>;
}

/** A refused request: what it is, what was wrong, the way out, and the id by which the server's log has it. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = refusal(error);
  return (
    <div className="problem" role="alert">
      <h2>{problem.kind === 'unreachable' ? t('problem.unreachable') : problem.title}</h2>
      {problem.kind === 'unreachable' ? <p className="soft">{t('problem.unreachable.way')}</p> : problem.mistakes.length === 0 && problem.message && <p>{sentence(problem.message)}</p>}
      {problem.mistakes.length > 0 && (
        <ul>{problem.mistakes.map((mistake) => <li key={mistake.field + mistake.rule}><code>{mistake.field}</code> {mistake.rule}. <span className="soft">{sentence(mistake.hint)}</span></li>)}</ul>
      )}
      {problem.allowed.length > 0 && <p className="soft">{t('problem.allowed', { list: problem.allowed.map((verb) => word('verb', verb)).join(', ') })}</p>}
      <div className="row wrap ids">
        {problem.requestId && <span>{t('problem.request')} <code>{problem.requestId}</code></span>}
        {problem.kind !== 'unreachable' && problem.kind !== 'unknown' && <a href={`problems/${problem.kind}`} target="_blank" rel="noreferrer">{t('problem.explain')}</a>}
        {retry && <Button small onPress={retry}>{t('act.retry')}</Button>}
      </div>
    </div>
  );
}

export const sentence = (text: string): string => (text ? text[0]!.toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') : '');

/** Nothing yet, nothing matches, or not allowed: three things, each with its own way on. */
export function Empty({ title, text, children }: { title: Key; text: Key; children?: ReactNode }) {
  return <div className="empty"><h2>{t(title)}</h2><p>{t(text)}</p>{children}</div>;
}

export function Loading({ rows = 5 }: { rows?: number }) {
  return <div className="stack card pad" role="status" aria-label={t('loading')}>{Array.from({ length: rows }, (_, i) => <div key={i} className="skeleton" style={{ width: `${92 - ((i * 17) % 40)}%` }} />)}</div>;
}

/** What a query says: its data, that it is being read, or why it could not be. Data that is there stays while it is read again. */
export function Shown<T>({ query, children, rows }: { query: { data: T | undefined; error: unknown; refetch: () => unknown }; children: (data: T) => ReactNode; rows?: number }) {
  if (query.data !== undefined) return <>{query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}{children(query.data)}</>;
  if (query.error) {
    if (refusal(query.error).kind === 'forbidden') return <Empty title="empty.forbidden" text="empty.forbidden.text" />;
    return <Problem error={query.error} retry={() => void query.refetch()} />;
  }
  return <Loading rows={rows ?? 5} />;
}

export function PageHead({ title, text, crumb, children }: { title: ReactNode; text?: ReactNode; crumb?: ReactNode; children?: ReactNode }) {
  useTitle(typeof title === 'string' ? title : undefined);
  return (
    <header className="page-head">
      <div className="grow">{crumb && <span className="crumb">{crumb}</span>}<h1>{title}</h1>{text && <p>{text}</p>}</div>
      {children && <div className="actions">{children}</div>}
    </header>
  );
}

export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title ? `${title} · StreamSpace` : 'StreamSpace';
  }, [title]);
}

export function Copyable({ text, wrap, label }: { text: string; wrap?: boolean; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard?.writeText(text).then(() => {
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  });
  return (
    <div className="copy">
      <pre className={`code ${wrap ? 'wrap' : ''}`} tabIndex={0} aria-label={label}>{text}</pre>
      {navigator.clipboard && <Button small onPress={copy}>{copied ? t('act.copied') : t('act.copy')}</Button>}
    </div>
  );
}

export const Code = ({ value, label }: { value: unknown; label?: string }) => <pre className="code wrap" tabIndex={0} aria-label={label ?? t('code')}>{typeof value === 'string' ? value : JSON.stringify(value, null, 2)}</pre>;

export interface Choice { id: string; text: string; danger?: boolean; disabled?: boolean; run: () => void }

export function MoreMenu({ label, choices }: { label: string; choices: Choice[] }) {
  return (
    <MenuTrigger>
      <Button icon kind="ghost" aria-label={label}><Icon name="more" /></Button>
      <Popover placement="bottom end"><Menu className="pop" onAction={(id) => choices.find((choice) => choice.id === id)?.run()} disabledKeys={choices.filter((choice) => choice.disabled).map((choice) => choice.id)}>
        {choices.map((choice) => <MenuItem key={choice.id} id={choice.id} className={choice.danger ? 'danger' : ''}>{choice.text}</MenuItem>)}
      </Menu></Popover>
    </MenuTrigger>
  );
}

export function EntityLink({ entity }: { entity: string | null | undefined }) {
  if (!entity) return <span className="faint">–</span>;
  const at = entity.indexOf(':');
  const [noun, id] = [entity.slice(0, at), entity.slice(at + 1)];
  const text = <>{word('noun', noun)} <span className="mono">{short(id)}</span></>;
  if (noun === 'session') return <Link to="/sessions/$id" params={{ id }} title={id}>{text}</Link>;
  if (noun === 'controller') return <Link to="/controllers/$id" params={{ id }} title={id}>{text}</Link>;
  if (noun === 'job') return <Link to="/jobs/$id" params={{ id }} title={id}>{text}</Link>;
  if (noun === 'dead_letter') return <Link to="/dead-letters/$id" params={{ id }} title={id}>{text}</Link>;
  return <span title={id}>{text}</span>;
}

/** The end of a UUID tells it apart from its neighbours; names stay whole. */
export const short = (id: string): string => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(-8) : id);

export function Pager({ first, next, onFirst, onBack, onNext, children }: { first: boolean; next: boolean; onFirst?: () => void; onBack: () => void; onNext: () => void; children?: ReactNode }) {
  if (first && !next && !children) return null;
  return (
    <nav className="pager" aria-label={t('pager')}>
      {children}
      <div className="end">
        {onFirst && !first && <Button small kind="ghost" onPress={onFirst}>{t('pager.first')}</Button>}
        <Button small isDisabled={first} onPress={onBack}>{t('pager.back')}</Button>
        <Button small isDisabled={!next} onPress={onNext}>{t('pager.next')}</Button>
      </div>
    </nav>
  );
}

export function Search({ value, onChange, label, id }: { value: string; onChange: (text: string) => void; label: string; id?: string }) {
  return <div className="search"><Icon name="search" /><input id={id} className="input" type="search" aria-label={label} placeholder={label} value={value} onChange={(event) => onChange(event.target.value)} /></div>;
}

export function Pick({ label, value, onChange, options, all }: { label: string; value: string | undefined; onChange: (value: string | undefined) => void; options: (string | [string, string])[]; all?: string }) {
  return (
    <select className="select" aria-label={label} title={label} value={value ?? ''} onChange={(event) => onChange(event.target.value || undefined)}>
      <option value="">{all ?? label}</option>
      {options.map((option) => typeof option === 'string' ? <option key={option} value={option}>{option}</option> : <option key={option[0]} value={option[0]}>{option[1]}</option>)}
    </select>
  );
}
