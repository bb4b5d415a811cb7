/** Which columns the list has on this device. */
import { useState } from 'react';
import { store, stored } from '~/ui/storage.ts';

export const COLUMNS = ['status', 'user', 'platform', 'controller', 'created', 'changed'] as const;
export type Column = (typeof COLUMNS)[number];
export type Columns = ReadonlySet<Column>;

const KEY = 'streamspace.sessions.columns';
const isColumn = (name: string): name is Column => (COLUMNS as readonly string[]).includes(name);

export const columnsOf = (names: readonly string[]): Columns => new Set(names.filter(isColumn));

export function useColumns(): [Columns, (columns: Columns) => void] {
  const [columns, set] = useState<Columns>(() => columnsOf(stored(KEY)?.split(',') ?? ['status', 'user', 'platform', 'created']));
  return [columns, (next) => { store(KEY, [...next].join(',')); set(next); }];
}
