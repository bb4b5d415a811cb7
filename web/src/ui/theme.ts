/** The theme: the system's unless it was chosen, and kept on this device. */
import { store, stored } from './storage.ts';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'streamspace.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

export const theme = (): Theme => {
  const kept = stored(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
};

export function apply(): void {
  const chosen = theme();
  document.documentElement.dataset.theme = chosen === 'system' ? (dark.matches ? 'dark' : 'light') : chosen;
}

export function choose(chosen: Theme): void {
  store(KEY, chosen);
  apply();
}

dark.addEventListener('change', apply);
