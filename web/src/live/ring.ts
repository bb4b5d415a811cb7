/** The newest items of the feed, newest first; what is older than these is dropped. */
import type { FeedItem } from '~/api/generated/types.gen.ts';

/** Items that are kept in memory. */
export const KEPT = 2_000;

/** Puts a batch (oldest first, as it comes) on top; an item that is there already is not put twice. */
export function push(kept: readonly FeedItem[], batch: readonly FeedItem[], most = KEPT): FeedItem[] {
  const known = new Set(kept.map((item) => item.id));
  const fresh = batch.filter((item) => !known.has(item.id));
  return [...fresh.reverse(), ...kept].slice(0, most);
}

/** Whether a subject fits a pattern: `*` stands for one token, `>` at the end for one or more. */
export function matchesSubject(subject: string, pattern: string): boolean {
  const [tokens, wanted] = [subject.split('.'), pattern.split('.')];
  for (let at = 0; at < wanted.length; at += 1) {
    if (wanted[at] === '>') return at === wanted.length - 1 && tokens.length > at;
    if (at >= tokens.length || (wanted[at] !== '*' && wanted[at] !== tokens[at])) return false;
  }
  return tokens.length === wanted.length;
}

export const fits = (item: FeedItem, wanted: { subject?: string | undefined; kind?: string | undefined; entity?: string | undefined }): boolean =>
  (!wanted.kind || item.kind === wanted.kind)
  && (!wanted.entity || item.entity === wanted.entity || item.entity.startsWith(`${wanted.entity}:`))
  && (!wanted.subject || matchesSubject(item.subject, wanted.subject));
