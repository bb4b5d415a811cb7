/** A picture where there is none: the first letter on a colour that the name chooses. Nothing is fetched. */
const TONES = ['accent', 'info', 'good', 'warn', 'sleep', 'bad'];

export function Monogram({ name }: { name: string }) {
  const sum = [...name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 9_973, 7);
  const tone = TONES[sum % TONES.length] ?? 'accent';
  const ink = tone === 'accent' ? 'var(--accent-text)' : `var(--${tone})`;
  return <span className="icon monogram" aria-hidden="true" style={{ background: `var(--${tone}-soft)`, color: ink, width: 36, height: 36, borderRadius: 9, display: 'grid', placeItems: 'center', fontWeight: 600, flex: 'none' }}>{(name[0] ?? '?').toUpperCase()}</span>;
}
