/** Shortcuts of a page: single letters, never while somebody types, never with a modifier, and off where they were switched off. */
import { useEffect, useRef } from 'react';
import { stored } from './theme.ts';

export const KEYS_OFF = 'streamspace.keys.off';

export function useKeys(keys: Record<string, () => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement | null;
      const typing = target?.closest('input:not([type=checkbox]), textarea, select, [contenteditable], [role=menu], [role=dialog]');
      if (typing || event.ctrlKey || event.metaKey || event.altKey || stored(KEYS_OFF) === 'true') return;
      const run = latest.current[event.key];
      if (!run) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
