/** Shortcuts of a page: single letters, never while somebody types, never with a modifier, and off where they were switched off. */
import { useEffect, useRef } from 'react';
import { store, stored } from './storage.ts';

const OFF = 'streamspace.keys.off';

export const keysAreOn = (): boolean => stored(OFF) !== 'true';
export const switchKeys = (on: boolean): void => store(OFF, String(!on));

export function useKeys(keys: Record<string, () => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement | null;
      const typing = target?.closest('input:not([type=checkbox]), textarea, select, [contenteditable], [role=menu], [role=dialog]');
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !keysAreOn()) return;
      const run = latest.current[event.key];
      if (!run) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
