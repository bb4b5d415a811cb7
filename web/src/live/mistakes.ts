/** The line of a text that a refusal is about: named by the field's path, or by the parser in words. */
import type { Mistake } from '~/api/generated/types.gen.ts';

export function lineOf(text: string, mistakes: readonly Mistake[], detail: string): number | null {
  for (const said of [...mistakes.map((mistake) => `${mistake.rule} ${mistake.hint}`), detail]) {
    const found = /\bline (\d+)/i.exec(said);
    if (found) return Number(found[1]);
  }
  for (const mistake of mistakes) {
    const line = lineOfPath(text, mistake.field);
    if (line !== null) return line;
  }
  return null;
}

/** Walks down the names of a path (`spec.local.command`), each on a line behind the one before. */
function lineOfPath(text: string, path: string): number | null {
  const lines = text.split('\n');
  let at = 0;
  let found: number | null = null;
  for (const name of path.split(/[.[\]]+/).filter((part) => part !== '' && !/^\d+$/.test(part))) {
    const next = lines.findIndex((line, index) => index >= at && new RegExp(`^[\\s-]*["']?${name.replace(/[^\w-]/g, '\\$&')}["']?\\s*:`).test(line));
    if (next < 0) return found;
    found = next + 1;
    at = next + 1;
  }
  return found;
}
