/** The difference of two texts, line by line, for people: what is the same, what goes, what comes. */
export interface Line { sign: ' ' | '-' | '+'; text: string }

/** Lines beyond which it is not worked out. */
const MOST = 1_500;

export function diff(before: string, after: string): Line[] {
  const [one, other] = [before.split('\n'), after.split('\n')];
  if (one.length > MOST || other.length > MOST) return [...one.map((text) => ({ sign: '-', text }) as Line), ...other.map((text) => ({ sign: '+', text }) as Line)];
  const table: Uint16Array[] = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      table[i]![j] = one[i] === other[j] ? table[i + 1]![j + 1]! + 1 : Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) { lines.push({ sign: ' ', text: one[i]! }); i += 1; j += 1; }
    else if (i < one.length && (j >= other.length || table[i + 1]![j]! >= table[i]![j + 1]!)) { lines.push({ sign: '-', text: one[i]! }); i += 1; }
    else { lines.push({ sign: '+', text: other[j]! }); j += 1; }
  }
  return lines;
}

/** The exact bytes as a hex dump, sixteen a line. */
export function hex(base64: string, most = 16_384): string {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, most); at += 16) {
    const part = bytes.slice(at, at + 16);
    const digits = [...part].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letters = [...part].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${digits.padEnd(47)}  ${letters}`);
  }
  if (bytes.length > most) lines.push('…');
  return lines.join('\n');
}
