import { useEffect, useRef, useSyncExternalStore } from 'react';
import type { FeedItem } from '~/api/generated/types.gen.ts';
import { feed } from './shared.ts';
import type { FeedState } from './state.ts';

/** Where the feed stands. */
export function useFeedState(): FeedState {
  return useSyncExternalStore(feed.subscribe, () => feed.state);
}

/** Calls with items as they come, as long as the component is there. */
export function useFeedItems(watcher: (items: FeedItem[]) => void): void {
  const latest = useRef(watcher);
  latest.current = watcher;
  useEffect(() => feed.watch((items) => latest.current(items)), []);
}
