/** The few icons that are used, drawn here so that nothing is fetched. */
const PATHS = {
  launch: 'M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z', sessions: 'M2.500 3.500h11v7h-11zM6 13h4M8 10.500V13',
  events: 'M2 8h2.500l2-4.500 3 9 2-4.500H14', letters: 'M2.500 4h11v8h-11zM2.500 4.500 8 9l5.500-4.500', controllers: 'M3 3h10v4H3zM3 9h10v4H3zM5.500 5h.01M5.500 11h.01',
  jobs: 'M3 4.500h6M3 8h10M3 11.500h8', queue: 'M3 4h10M3 8h7M3 12h4', doctor: 'M8 13.500S2.500 10.500 2.500 6.500A2.800 2.800 0 0 1 8 5.500a2.800 2.800 0 0 1 5.500 1c0 4-5.500 7-5.500 7z',
  templates: 'M4 2.500h5l3 3v8H4zM9 2.500v3h3', apps: 'M8 2.500 13 5v6l-5 2.500L3 11V5zM3 5l5 2.500L13 5M8 7.500v6', search: 'M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500 13.500 13.500',
  more: 'M3.500 8h.01M8 8h.01M12.500 8h.01', menu: 'M2.500 4.500h11M2.500 8h11M2.500 11.500h11', external: 'M6 3.500H3.500v9h9V10M9 3.500h3.500V7M12.500 3.500 7.500 8.500', theme: 'M8 2.500v11a5.500 5.500 0 0 0 0-11zM8 2.500a5.500 5.500 0 0 0 0 11', book: 'M3 3h4.500v10H3zM8.500 3H13v10H8.500z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  const strong = name === 'more' ? 2.4 : 1.4;
  return <svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth={strong} strokeLinecap="round" strokeLinejoin="round" aria-hidden="true"><path d={PATHS[name]} /></svg>;
}
