/** One line about what was done, with a link to it. */
import { type ReactNode, useEffect, useSyncExternalStore } from 'react';
import { t } from '~/text/index.ts';

let shown: ReactNode = null;
const watchers = new Set<() => void>();
export function say(text: ReactNode): void {
  shown = text;
  for (const watcher of watchers) watcher();
}
const subscribe = (watcher: () => void) => {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
};

export function Toasts() {
  const text = useSyncExternalStore(subscribe, () => shown);
  useEffect(() => {
    if (text === null) return;
    const timer = setTimeout(() => say(null), 6_000);
    return () => clearTimeout(timer);
  }, [text]);
  return <div role="status" aria-live="polite">{text !== null && <div className="toast">{text}<button type="button" onClick={() => say(null)}>{t('act.dismiss')}</button></div>}</div>;
}
