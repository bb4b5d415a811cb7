/** A picture for a name: its initials on a colour that the name chooses. It is drawn here, so that nothing is fetched while one looks. */

/** The first letters of the first two words; the first two of a single word. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? words.slice(0, 2).map((word) => [...word][0] ?? '') : [...(words[0] ?? '?')].slice(0, 2);
  return letters.join('').toUpperCase();
}

/** A hue from 0 to 359, spread over the circle: names that differ in one letter are far apart (FNV-1a). */
export function hue(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash % 360;
}

export function Monogram({ name, of = name }: { name: string; of?: string }) {
  return <span className="monogram" aria-hidden="true" style={{ '--hue': hue(of) } as React.CSSProperties}>{initials(name)}</span>;
}
