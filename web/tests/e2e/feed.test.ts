/** The feed of a page: cut, resumed, shared, and over a restart of the server. */
import net from 'node:net';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { at, badge, browser, context, create, fresh, live, page, reaches, server, until, useStage } from './stage.ts';

useStage();

test('the feed is cut and goes on from where it was, without a reload', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  const sockets = new Set<net.Socket>();
  let cut = false; // chromium's own offline mode keeps streams that are open
  const wire = net.createServer((socket) => {
    if (cut) return void socket.destroy();
    const other = net.connect(server.port, '127.0.0.1');
    for (const [one, its] of [[socket, other], [other, socket]] as const) { sockets.add(one); one.on('error', () => its.destroy()); one.on('close', () => { sockets.delete(one); its.destroy(); }); }
    socket.pipe(other).pipe(socket);
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const own = await browser.newContext({ storageState: await context.storageState() });
  const behind = await fresh(own);
  await behind.goto(`http://localhost:${(wire.address() as { port: number }).port}/sessions/${id}`);
  await badge('Running', behind).waitFor();
  await live(behind);
  await behind.evaluate(() => { (window as never as { kept: number }).kept = 7; });
  cut = true;
  for (const socket of sockets) socket.destroy();
  await behind.getByText('nothing that happens meanwhile is missed').waitFor();
  await server.api('POST', `sessions/${id}/hibernate`);
  await reaches(id, 'hibernated');
  cut = false;
  await badge('Hibernated', behind).waitFor({ timeout: 30_000 });
  await live(behind);
  await behind.getByText('It sleeps').waitFor();
  expect(await behind.evaluate(() => (window as never as { kept: number }).kept)).toBe(7);
  await own.close();
  wire.close();
  await server.api('DELETE', `sessions/${id}`);
}, 90_000);

test('the server is killed and started again under an open page, which stays logged in and misses nothing', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  await page.goto(at(`sessions/${id}`));
  await badge('Running').waitFor();
  await live();
  await page.evaluate(() => { (window as never as { kept: number }).kept = 8; });
  await server.kill();
  await page.getByText('Reconnecting; nothing that happens meanwhile is missed.').waitFor();
  await server.up();
  await server.api('POST', `sessions/${id}/hibernate`);
  await badge('Hibernated').waitFor({ timeout: 40_000 });
  await live();
  expect(await page.evaluate(() => (window as never as { kept: number }).kept)).toBe(8);
  await server.api('DELETE', `sessions/${id}`);
}, 120_000);

test('tabs share one feed, and the next one takes it over', async () => {
  const streams = (of: Page) => { const seen: string[] = []; of.on('request', (request) => { if (request.url().includes('/api/v1/stream')) seen.push(request.url()); }); return seen; };
  const own = await browser.newContext({ storageState: await context.storageState() });
  const [first, second] = [await fresh(own), await fresh(own)];
  const [one, other] = [streams(first), streams(second)];
  await first.goto(at('sessions'));
  await live(first);
  await second.goto(at('sessions'));
  await live(second);
  const { session_id: id } = await create();
  await Promise.all([first, second].map((tab) => tab.getByRole('button', { name: '1 new' }).waitFor()));
  expect([one.length, other.length]).toEqual([1, 0]);
  await first.close();
  await until('the second tab reads the feed', () => other.length === 1);
  expect(other[0], 'from where it had heard').toContain('after=');
  await create();
  await second.getByRole('button', { name: '2 new' }).waitFor();
  await own.close();
  for (const session of (await server.api('GET', 'sessions')).items) await server.api('DELETE', `sessions/${session.session_id}`);
  await reaches(id, 'deleted');
});
