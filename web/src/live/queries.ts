/** What is read from the server, by name, and what an item of the feed makes stale. */
import { QueryClient, keepPreviousData, queryOptions } from '@tanstack/react-query';
import * as api from '~/api/generated/sdk.gen.ts';
import type { Event, FeedItem, Session } from '~/api/generated/types.gen.ts';
import { Refusal, ask } from '~/api/http.ts';
import { type Filter, mergePage, newer, patchRows, patchSession } from './patch.ts';
import { Soon } from './soon.ts';

export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 60_000, // the feed says what changes
      gcTime: 120_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && error instanceof Refusal && (error.status === 0 || error.status === 503),
    },
  },
});

export interface SessionList extends Filter { sort?: string | undefined; cursor?: string | undefined }
interface Page { items: Session[]; next_cursor?: string | null }
export const PAGE = 50;

export const sessions = (wanted: SessionList) => {
  const queryKey = ['sessions', wanted] as const;
  return queryOptions({
    queryKey,
    placeholderData: keepPreviousData,
    queryFn: async (): Promise<Page> => {
      const page = await ask(api.listSessions({ query: { ...wanted, limit: PAGE } as never }));
      return { ...page, items: mergePage(cache.getQueryData<Page>(queryKey)?.items, page.items) };
    },
  });
};
export const session = (id: string, at?: string) => queryOptions({
  queryKey: at ? ['session-at', id, at] : ['session', id],
  queryFn: async () => {
    const read = await ask(api.getSession({ path: { id }, query: at ? { at } : {} }));
    return at ? read : newer(cache.getQueryData<Session>(['session', id]), read);
  },
});
/** The newest rows of a session's log that are shown: pages are read to the end, and these many are kept. */
const TIMELINE = 1_000;
export const sessionEvents = (id: string) => queryOptions({
  queryKey: ['session-events', id],
  queryFn: async () => {
    const items: Event[] = [];
    let cursor: string | undefined;
    let cut = false;
    do {
      const page = await eventsPage(id, cursor);
      items.push(...page.items);
      if (items.length > TIMELINE) {
        items.splice(0, items.length - TIMELINE);
        cut = true;
      }
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    return { items, cut };
  },
});
const eventsPage = (id: string, cursor: string | undefined) => ask(api.listSessionEvents({ path: { id }, query: { limit: 200, cursor } as never }));

export const templates = queryOptions({ queryKey: ['templates'], queryFn: () => all((cursor) => ask(api.listTemplates({ query: { limit: 200, cursor } as never }))) });
export const template = (name: string) => queryOptions({ queryKey: ['template', name], queryFn: () => ask(api.getTemplate({ path: { name } })) });
export const platforms = queryOptions({ queryKey: ['platforms'], queryFn: () => ask(api.listPlatforms()) });
export const applications = queryOptions({ queryKey: ['applications'], queryFn: () => all((cursor) => ask(api.listApplications({ query: { limit: 200, cursor } as never }))) });
export const controllers = queryOptions({ queryKey: ['controllers'], refetchInterval: 15_000, queryFn: () => all((cursor) => ask(api.listControllers({ query: { limit: 200, cursor } as never }))) });
export const controller = (id: string) => queryOptions({ queryKey: ['controllers', id], refetchInterval: 15_000, queryFn: () => ask(api.getController({ path: { controller_id: id } })) });
export const jobs = (query: Record<string, string | undefined>) => queryOptions({ queryKey: ['jobs', query], placeholderData: keepPreviousData, queryFn: () => ask(api.listJobs({ query: { limit: 50, ...query } as never })) });
export const job = (id: string) => queryOptions({ queryKey: ['job', id], queryFn: () => ask(api.getJob({ path: { id } })) });
export const queue = (query: Record<string, string | undefined>) => queryOptions({ queryKey: ['queue', query], placeholderData: keepPreviousData, queryFn: () => ask(api.listQueue({ query: { limit: 50, ...query } as never })) });
export const queueSums = queryOptions({ queryKey: ['queue', 'sums'], queryFn: () => ask(api.summarizeQueue()) });
export const causes = (query: Record<string, string | undefined>) => queryOptions({ queryKey: ['letters', 'causes', query], placeholderData: keepPreviousData, queryFn: () => ask(api.groupDeadLetters({ query: { limit: 50, ...query } as never })) });
export const letters = (query: Record<string, string | undefined>) => queryOptions({ queryKey: ['letters', 'list', query], placeholderData: keepPreviousData, queryFn: () => ask(api.listDeadLetters({ query: { limit: 50, ...query } as never })) });
export const letter = (id: string) => queryOptions({ queryKey: ['letters', 'one', id], queryFn: () => ask(api.getDeadLetter({ path: { id } })) });
export const fate = (id: string) => queryOptions({ queryKey: ['fate', id], staleTime: 0, queryFn: () => ask(api.getEventFate({ path: { event_id: id } })) });
export const doctor = queryOptions({ queryKey: ['doctor'], staleTime: 0, queryFn: () => ask(api.runDoctor()) });
export const tasks = queryOptions({ queryKey: ['tasks'], staleTime: 0, queryFn: () => ask(api.listTasks()) });

/** Pages of a catalog at most: what has more is searched on the server. */
const CATALOG_PAGES = 10;
async function all<T>(page: (cursor: string | undefined) => Promise<{ items: T[]; next_cursor?: string | null }>): Promise<{ items: T[]; cut: boolean }> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < CATALOG_PAGES; pages += 1) {
    const read = await page(cursor);
    items.push(...read.items);
    cursor = read.next_cursor ?? undefined;
    if (!cursor) return { items, cut: false };
  }
  return { items, cut: true };
}

const soon = new Soon(1_000);
const stale = (...key: string[]) => soon.ask(key.join('/'), () => void cache.invalidateQueries({ queryKey: key }));
const NOUNS: Record<string, string[][]> = {
  controller: [['controllers'], ['platforms']], application: [['applications'], ['templates']], template: [['templates'], ['template']],
  dead_letter: [['letters']], session: [['queue']],
};

/** Takes a batch of items into what was read: sessions are patched where they stand, and the rest is read again, soon. */
export function take(items: FeedItem[]): void {
  cache.setQueriesData<Page>({ queryKey: ['sessions'] }, (page) => {
    if (!page) return page;
    const rows = patchRows(page.items, items);
    return rows === page.items ? page : { ...page, items: rows };
  });
  for (const noun of new Set(items.map((item) => item.entity.split(':', 1)[0] ?? ''))) for (const key of NOUNS[noun] ?? []) stale(...key);
  for (const entity of new Set(items.map((item) => item.entity))) {
    const id = entity.slice(entity.indexOf(':') + 1);
    if (entity.startsWith('session:')) {
      const known = cache.getQueryData<Session>(['session', id]);
      if (!known) continue;
      const own = items.filter((item) => item.entity === entity);
      cache.setQueryData(['session', id], own.reduce(patchSession, known));
      stale('session', id); // what is in no log: why it is awake
      stale('session-events', id);
    } else if (entity.startsWith('job:')) {
      stale('jobs');
      stale('job', id);
    }
  }
}
