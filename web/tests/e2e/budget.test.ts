/** What the page may cost: bytes, time and memory. Long lists and bursts are made up in the page; see `made-up.ts`. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { type MadeUp, madeUp } from './made-up.ts';
import { at, browser, context, create, fresh, hosts, live, useStage } from './stage.ts';

useStage();

const JS_BYTES = 250_000;
const FIRST_LIST_MS = 1_000;
const MEMORY = 300 * 2 ** 20;
const SESSIONS = 100_000;

async function cold(height = 800): Promise<Page> {
  const own = await browser.newContext({ storageState: await context.storageState(), viewport: { width: 1280, height } });
  return fresh(own);
}

test('the start is small and asks no other host', async () => {
  const page = await cold();
  let bytes = 0;
  page.on('response', async (response) => { if (response.url().includes('/assets/') && response.url().endsWith('.js')) bytes += Number((await response.allHeaders())['content-length'] ?? 0); });
  await page.goto(at('sessions'));
  await page.locator('table, .empty').first().waitFor();
  expect(bytes).toBeGreaterThan(50_000);
  expect(bytes, 'gzip bytes of JavaScript').toBeLessThan(JS_BYTES);
  const folder = path.join(import.meta.dirname, '../../dist/assets');
  expect(readdirSync(folder).filter((name) => name.endsWith('.js')).every((name) => /-[\w-]{8}\.js$/.test(name)), 'names hold a hash').toBe(true);
  await page.context().close();
  expect([...hosts].every((host) => /^(localhost|127\.0\.0\.1):\d+$/.test(host)), [...hosts].join(' ')).toBe(true);
});

test('the first list is there within a second', async () => {
  await create();
  const took: number[] = [];
  for (let round = 0; round < 10 && !took.some((ms) => ms < FIRST_LIST_MS); round += 1) { // the machine does other things meanwhile
    const page = await cold();
    await page.goto(at('sessions'));
    await page.locator('tbody tr.link').first().waitFor();
    took.push(await page.evaluate(() => performance.now()));
    await page.context().close();
  }
  expect(Math.min(...took), `milliseconds: ${took.map(Math.round).join(', ')}`).toBeLessThan(FIRST_LIST_MS);
});

test('100,000 sessions are scrolled in little memory, and back', async () => {
  const page = await cold(400); // drawing takes most of the time
  await madeUp(page, SESSIONS);
  await page.goto(at('sessions'));
  await page.locator('tbody tr.link').first().waitFor();
  const bottom = page.locator(`tbody tr[aria-rowindex="${SESSIONS + 1}"]`);
  await page.evaluate(async (last) => {
    while (!document.querySelector(`tr[aria-rowindex="${last}"]`)) {
      scrollTo(0, document.documentElement.scrollHeight);
      await new Promise(requestAnimationFrame);
    }
  }, SESSIONS + 1);
  await bottom.waitFor();
  const drawn = await page.locator('tbody tr.link').count();
  expect(drawn, 'rows that are drawn').toBeLessThan(80);
  const used = await memory(page);
  expect(used.heap, 'bytes of the page\'s heap').toBeLessThan(64 * 2 ** 20);
  expect(used.process, 'bytes that are resident').toBeLessThan(MEMORY);
  await page.waitForURL(/cursor=after/); // where one is stands in the address

  const at_end = await page.evaluate(() => scrollY);
  await page.evaluate(async () => { for (let step = 0; step < 120; step += 1) { scrollBy(0, -400); await new Promise(requestAnimationFrame); } });
  const moved = at_end - (await page.evaluate(() => scrollY));
  expect(moved, 'nothing jumps while pages come in above').toBe(120 * 400);
  await page.locator('tbody tr.link').first().waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator('tbody tr[aria-rowindex="2"].link').waitFor();
  await page.context().close();
}, 180_000);

test('1,000 changes a second for ten seconds freeze nothing, and the last of them is shown', async () => {
  const page = await cold();
  await madeUp(page, 5_000);
  await page.goto(at('sessions'));
  await page.locator('tbody tr.link').first().waitFor();
  await live(page);
  const { longest, sent } = await page.evaluate(async () => {
    const state = (window as never as { madeUp: MadeUp }).madeUp;
    let [longest, last, sent] = [0, performance.now(), 0];
    const frame = (now: number) => { longest = Math.max(longest, now - last); last = now; if (sent < 10_000) requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    const begun = performance.now();
    while (sent < 10_000) {
      const due = Math.min(10_000, Math.floor(performance.now() - begun)) - sent;
      state.send(Array.from({ length: due }, (_, n) => {
        const seq = sent + n;
        return { id: `2.${(seq + 2).toString(16)}.00000001`, event_id: `e${seq}`, subject: 'streamspace.session.status.local.local-1', kind: 'report', entity: `session:00000000-0000-7000-8000-${String(seq % 100).padStart(12, '0')}`, entity_seq: 2 + Math.floor(seq / 100), generation: 1, status: 'completed', at: new Date().toISOString(), user_id: 'user-1', platform: 'local', changes: { status: seq >= 9_900 ? 'hibernated' : seq % 2 ? 'running' : 'waking' }, payload: {} };
      }));
      sent += due;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { longest, sent };
  });
  expect(sent).toBe(10_000);
  expect(longest, 'milliseconds of the longest frame').toBeLessThan(1_000);
  const first = page.locator('tbody tr.link').first();
  await first.locator('.badge', { hasText: 'Hibernated' }).waitFor();
  await page.context().close();
}, 60_000);

/** Bytes after a collection: of the page's heap, and of its process in memory. */
async function memory(page: Page): Promise<{ heap: number; process: number }> {
  const own = await page.context().newCDPSession(page);
  await own.send('HeapProfiler.collectGarbage');
  await own.send('Performance.enable');
  const { metrics } = await own.send('Performance.getMetrics');
  const heap = metrics.find((metric) => metric.name === 'JSHeapUsedSize')?.value ?? Infinity;
  const whole = await browser.newBrowserCDPSession();
  const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
  const sizes = processInfo.filter((one) => one.type === 'renderer').map((one) => {
    const resident = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${one.id}/status`, 'utf8'));
    return Number(resident?.[1] ?? Infinity) * 1_024;
  });
  return { heap, process: Math.max(...sizes) };
}
