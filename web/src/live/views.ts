/** Saved views of the list of sessions: a name for a filter, an order and columns. They are kept in this browser only. */
import { store, stored } from '~/ui/storage.ts';

export interface View { name: string; search: Record<string, string>; columns: string[] }

/** Views that one browser keeps, and characters of a name. */
export const VIEWS = 20;
export const NAME = 40;

const KEY = 'streamspace.sessions.views';

/** What was stored, as far as it can be read: another version of this page may have written it. */
export function parse(text: string | null): View[] {
  let found: unknown;
  try {
    found = JSON.parse(text ?? '[]');
  } catch {
    return [];
  }
  const isText = (value: unknown): value is string => typeof value === 'string';
  const isView = (one: unknown): one is View => {
    const view = one as Partial<View> | null;
    return isText(view?.name) && view.name.trim() !== '' && Array.isArray(view.columns) && view.columns.every(isText)
      && typeof view.search === 'object' && view.search !== null && Object.values(view.search).every(isText);
  };
  return (Array.isArray(found) ? found : []).filter(isView).slice(0, VIEWS);
}

/** The views with another one. It replaces the one of its name; beyond the most, the oldest goes. */
export function put(views: readonly View[], view: View): View[] {
  const name = view.name.trim().slice(0, NAME);
  return [...views.filter((one) => one.name !== name), { ...view, name }].slice(-VIEWS);
}

export const without = (views: readonly View[], name: string): View[] => views.filter((one) => one.name !== name);
export const savedViews = (): View[] => parse(stored(KEY));
export const saveViews = (views: readonly View[]): void => store(KEY, JSON.stringify(views));
