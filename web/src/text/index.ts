/** Words for people. One catalog a language; English is the only one so far, and says which keys there are. */
import { en } from './en.ts';

export type Key = keyof typeof en;
type Plural = { one: string; other: string };
type Values = Record<string, string | number>;

const locale = 'en';
const catalog: Record<Key, string | Plural> = en;
const plural = new Intl.PluralRules(locale);
const number = new Intl.NumberFormat(locale);

/** The text of a key. `{name}` is replaced by a value; a text with a plural chooses by `count`. */
export function t(key: Key, values: Values = {}): string {
  const entry = catalog[key];
  const text = typeof entry === 'string' ? entry : entry[plural.select(Number(values.count ?? 0)) === 'one' ? 'one' : 'other'];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number.format(value) : value;
  });
}

/** The text of a word that the server may say; one that is not known here is shown as it came. */
export function word(prefix: string, value: string): string {
  const key = `${prefix}.${value}`;
  return key in catalog ? t(key as Key) : value.replaceAll('_', ' ');
}
