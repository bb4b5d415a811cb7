/**
 * A list of sessions that no server has: the page's own requests for it are answered in the page, and so is its feed. For budgets that a
 * test machine could not reach with real sessions; everything else goes to the real server.
 */
import type { Page } from 'playwright-core';

/** What the page has for a test to use: sends items on its feed. */
export interface MadeUp { send(items: object[]): void; reads: number }

export async function madeUp(page: Page, total: number): Promise<void> {
  await page.addInitScript((count: number) => {
    const real = window.fetch.bind(window);
    const id = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
    const begun = Date.UTC(2026, 0, 1);
    const row = (n: number) => ({
      session_id: id(n), user_id: `user-${n % 500}`, template_id: `template-${n % 40}`, platform: 'local', controller_id: 'local-1', placement: 'the emptiest of 2', status: 'running', desired: 'running',
      generation: 1, revision: 1, reason: null, message: `session ${n} of many, with a message of a usual length`, phase: 'healthy', url: `http://127.0.0.1:1/${n}`, pod_name: null, resources: { memory: '2Gi', cpu: '1000m' }, selector: {}, persistent_home: false,
      idle_timeout: '30m', max_duration: null, tags: ['made-up'], metadata: {}, attempt: 0, next_attempt_at: null, connections: 1, resource_usage: { memory: '640Mi', cpu: '120m' }, awake: null,
      last_activity: new Date(begun).toISOString(), created_at: new Date(begun - n * 1_000).toISOString(), updated_at: new Date(begun - n * 1_000).toISOString(),
    });
    const state = { send: (_: object[]) => {}, reads: 0 };
    (window as never as { madeUp: typeof state }).madeUp = state;
    const answer = (body: unknown) => new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', date: new Date().toUTCString() } });
    const page_of = (query: URLSearchParams) => {
      state.reads += 1;
      const limit = Number(query.get('limit') ?? 50);
      const [side, at] = (query.get('cursor') ?? 'after:-1').split(':');
      const first = side === 'after' ? Number(at) + 1 : Math.max(0, Number(at) - limit);
      const end = Math.min(count, side === 'after' ? first + limit : Number(at));
      const items = Array.from({ length: Math.max(0, end - first) }, (_, n) => row(first + n));
      return answer({ items, position: '1.1.00000001', next_cursor: end < count ? `after:${end - 1}` : null, prev_cursor: first > 0 ? `before:${first}` : null });
    };
    window.fetch = async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : String(input), location.href);
      if (url.pathname.endsWith('/api/v1/sessions')) return page_of(url.searchParams);
      if (!url.pathname.endsWith('/api/v1/stream')) return real(input, init);
      const encoder = new TextEncoder();
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          state.send = (items) => controller.enqueue(encoder.encode(items.map((item) => `id: ${(item as { id: string }).id}\ndata: ${JSON.stringify(item)}\n\n`).join('')));
        },
      });
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    };
  }, total);
}
