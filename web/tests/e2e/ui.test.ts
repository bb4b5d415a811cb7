import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LAUNCH, Server, catalog, until } from './server.mjs';

const AXE = readFileSync(path.join(import.meta.dirname ?? __dirname, '../../node_modules/axe-core/axe.min.js'), 'utf8');
let server: InstanceType<typeof Server>;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const trouble: string[] = [];
const hosts = new Set<string>();

/** A page whose mistakes fail the test that made them. */
async function fresh(of: BrowserContext = context): Promise<Page> {
  const opened = await of.newPage();
  opened.on('pageerror', (error) => trouble.push(`${opened.url()}: ${error.message}`));
  // chromium itself styles what is inserted into an editable line, in vain; everything else that the policy forbids is a mistake
  await opened.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
    if (!(event.target instanceof Element && event.target.closest('.cm-content'))) console.error(`forbidden: ${event.violatedDirective} ${event.blockedURI}`);
  }));
  opened.on('console', (message) => { if (message.type() === 'error' && message.text().startsWith('forbidden: ')) trouble.push(`${opened.url()} ${message.text()}`); });
  opened.on('request', (request) => hosts.add(new URL(request.url()).host));
  return opened;
}
const at = (where = '') => server.url + where;
const status = async (id: string): Promise<string> => (await server.api('GET', `sessions/${id}`)).status;
const reaches = (id: string, wanted: string) => until(`session is ${wanted}`, async () => (await status(id)) === wanted, 30_000);
const create = (body: Record<string, unknown> = {}): Promise<{ session_id: string; url: string }> => server.api('POST', 'sessions', { template_id: 'scratchpad', ...body });
const live = (of: Page = page) => of.locator('.feed[data-state=live]').waitFor({ state: 'attached' });
const dialog = (of: Page = page) => of.getByRole('dialog');
const badge = (text: string, of: Page = page) => of.locator('header .badge', { hasText: text }).first();

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), chromium.launch(LAUNCH)]);
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  page = await fresh();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  expect(trouble).toEqual([]);
});

test('the link logs in on a click, once, and leaves no code behind', async () => {
  const failed: string[] = [];
  page.on('response', (response) => { if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`); });
  await page.goto(at());
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  expect(failed, 'no request of the start page fails').toEqual([]);

  await page.goto('about:blank');
  await page.goto(server.link);
  const enter = page.getByRole('button', { name: 'Log in' });
  await enter.waitFor();
  expect(page.url(), 'the code is gone from the address').toBe(at());
  expect((await context.cookies()).length, 'a look at the page uses nothing up').toBe(0);
  await enter.click();
  await page.getByRole('heading', { name: 'Launchpad' }).waitFor();
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
  expect(cookie!.name).toMatch(/^streamspace_[0-9a-f]{32}$/);
  expect(cookie!.value).not.toContain(server.endpoints.admin_token);

  const other = await browser.newContext();
  const stranger = await other.newPage();
  await stranger.goto(server.link);
  await stranger.getByRole('button', { name: 'Log in' }).click();
  await stranger.getByRole('alert').getByText('used already').waitFor();
  await stranger.getByLabel('Administrator token').fill(server.endpoints.admin_token);
  await stranger.getByRole('button', { name: 'Log in' }).click();
  await stranger.getByRole('heading', { name: 'Launchpad' }).waitFor();
  await stranger.getByRole('button', { name: 'Log out' }).click();
  await stranger.getByRole('heading', { name: 'Log in' }).waitFor();
  await other.close();
});

test('on the host that sessions have nobody logs in, and the page says where', async () => {
  const other = await browser.newContext();
  const wrong = await other.newPage();
  await wrong.goto(at().replace('localhost', '127.0.0.1'));
  await wrong.getByRole('link', { name: /localhost/ }).click();
  await wrong.waitForURL(at());
  await other.close();
});

test('a session is started with one click, opened, hibernated, woken and deleted', async () => {
  await page.goto(at());
  await page.getByRole('button', { name: 'Start Scratchpad' }).click();
  await page.waitForURL(/127\.0\.0\.1:\d+\/$/, { timeout: 30_000 }); // it goes on to the session by itself
  await page.getByRole('heading', { name: 'Scratchpad' }).waitFor();
  const [session] = (await server.api('GET', 'sessions')).items;
  const id = session.session_id;

  await page.goto(at(`sessions/${id}`));
  await badge('Running').waitFor();
  await page.getByText('It runs').waitFor();
  await page.getByRole('button', { name: 'Hibernate', exact: true }).click();
  await badge('Hibernated').waitFor({ timeout: 30_000 });
  await page.getByText('It sleeps').waitFor();

  await page.goto(at());
  await page.getByRole('link', { name: 'Wake and open' }).click();
  await page.waitForURL(/127\.0\.0\.1:\d+\/$/, { timeout: 30_000 });
  expect(await status(id)).toBe('running');

  await page.goto(at('sessions'));
  await page.getByRole('checkbox', { name: `Select ${id.slice(-8)}` }).check();
  await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
  await dialog().getByText(id.slice(-8)).waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === 'Cancel'); // Enter alone destroys nothing
  await page.keyboard.press('Enter');
  await dialog().waitFor({ state: 'detached' });
  expect(await status(id)).toBe('running');
  await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
  await dialog().getByRole('button', { name: 'Delete session' }).click();
  await page.locator('tr.moved .badge', { hasText: 'Deleted' }).waitFor({ timeout: 30_000 }); // it stays in its place, marked
  await reaches(id, 'deleted');
});

test("a session's page can neither read nor use the login", async () => {
  const session = await create();
  await reaches(session.session_id, 'running');
  const { url } = await server.api('GET', `sessions/${session.session_id}`);
  const inside = await fresh();
  await inside.route('**/*', async (route) => { // the scratchpad's own policy forbids all this; other programs have none
    const response = await route.fetch();
    const headers = response.headers();
    delete headers['content-security-policy'];
    await route.fulfill({ response, headers });
  }, { times: 1 });
  await inside.goto(url);
  const tried = await inside.evaluate(async (ui) => {
    const attempt = async (run: () => Promise<string>) => { try { return await run(); } catch (error) { return `refused: ${String(error)}`; } };
    return {
      cookie: document.cookie,
      read: await attempt(async () => (await fetch(`${ui}ui/session`, { credentials: 'include' })).text()),
      sessions: await attempt(async () => (await fetch(`${ui}api/v1/sessions`, { credentials: 'include' })).text()),
      create: await attempt(async () => String((await fetch(`${ui}api/v1/sessions`, { method: 'POST', credentials: 'include', mode: 'no-cors', body: '{"template_id":"scratchpad"}' })).status)),
      socket: await new Promise<string>((resolve) => {
        const socket = new WebSocket(`${ui.replace('http', 'ws')}api/v1/ws`);
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      }),
      frame: await new Promise<string>((resolve) => {
        const frame = document.createElement('iframe');
        frame.src = ui;
        frame.onload = () => { try { resolve(frame.contentDocument?.body.textContent ? 'readable' : 'nothing'); } catch { resolve('refused'); } };
        document.body.append(frame);
      }),
    };
  }, at());
  expect(tried.cookie).toBe('');
  expect(tried.read).toMatch(/^refused/);
  expect(tried.sessions).toMatch(/^refused/);
  expect(tried.socket).toBe('refused');
  expect(tried.frame).not.toBe('readable');
  const { items } = await server.api('GET', 'sessions');
  expect(items.length, 'it created nothing').toBe(1);
  await inside.close();
  await server.api('DELETE', `sessions/${session.session_id}`);
});

test('why a session waits is said in words, on the launchpad, on its page and in the queue', async () => {
  await server.api('POST', 'templates', catalog([['gimp', 'GIMP', 'Graphics', 'Pictures.']]), 'application/yaml');
  const { session_id: id } = await create({ template_id: 'gimp', platform: 'docker' });
  const why = /no controller of platform docker/i;
  await page.goto(at());
  await page.getByText(why).first().waitFor();
  await page.goto(at(`sessions/${id}`));
  await page.getByText('Waiting for a place').waitFor();
  await page.getByText(why).first().waitFor();
  await page.getByRole('link', { name: 'See the queue' }).click();
  await page.getByRole('cell', { name: why }).waitFor();
  await page.goto(at(`open/${id}`));
  await page.getByText(why).waitFor();
  await server.api('DELETE', `sessions/${id}`);
});

test('a list is patched while it is looked at, in place, and says how many are new', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  await page.goto(at('sessions?status=running'));
  const row = page.getByRole('row', { name: new RegExp(id.slice(-8)) });
  await row.waitFor();
  await live();
  await server.api('POST', `sessions/${id}/hibernate`);
  await row.locator('.badge', { hasText: 'Hibernated' }).waitFor();
  expect(await row.getAttribute('class')).toContain('moved');
  await page.goto(at('sessions'));
  await row.waitFor();
  await live();
  const more = await Promise.all([create({ user_id: 'ada' }), create({ user_id: 'ada' })]);
  await page.getByRole('button', { name: '2 new' }).click();
  await page.getByRole('row', { name: new RegExp(more[0].session_id.slice(-8)) }).waitFor();
  await page.getByRole('textbox', { name: 'User' }).fill('ada');
  await page.keyboard.press('Enter');
  await page.waitForURL(/user_id=ada/); // the address is the state
  await until('only hers', async () => (await page.locator('tbody tr').count()) === 2);
  await page.locator('body').click({ position: { x: 640, y: 780 } });
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.getByText('1 selected').waitFor();
  await page.keyboard.press('o');
  await page.waitForURL(/sessions\/[0-9a-f-]{36}/);
  await page.goBack();
  await page.getByRole('button', { name: /Created/ }).click();
  await page.waitForURL(/sort=created_at/);
  for (const session of [id, more[0].session_id, more[1].session_id]) await server.api('DELETE', `sessions/${session}`);
});

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

test('all that match are one job on the server, which can be watched', async () => {
  await Promise.all(Array.from({ length: 3 }, () => create({ user_id: 'bulk' })));
  for (let at = 0; at < 52; at += 13) await Promise.all(Array.from({ length: 13 }, () => create({ user_id: 'bulk', template_id: 'gimp', platform: 'docker' })));
  await page.goto(at('sessions?user_id=bulk'));
  await page.getByText('50 sessions on page 1').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('5 sessions on page 2').waitFor();
  await page.getByRole('button', { name: 'Previous' }).click();
  await page.getByText('50 sessions on page 1').waitFor();
  await page.getByRole('checkbox', { name: 'Select this page' }).check();
  await page.getByRole('button', { name: 'Select all that match the filter' }).click();
  await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
  await dialog().getByText('user: bulk').waitFor();
  await dialog().getByRole('button', { name: 'Start the job' }).click();
  await page.getByRole('link', { name: 'Watch it' }).click();
  await page.getByRole('heading', { name: 'Delete sessions' }).waitFor();
  await badge('Completed').waitFor({ timeout: 30_000 });
  await page.getByText('55 of 55').waitFor();
});

test('a dead letter is found by its cause, corrected and sent, and another discarded with a reason', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  const report = (event: string, said: string) => JSON.stringify({ event_id: event, timestamp: new Date().toISOString(), session_id: id, controller_id: 'local-1', status: said, message: 'corrected by hand', generation: 1 });
  await server.publish('streamspace.session.status.local.local-1', report(crypto.randomUUID(), 'runing'));
  await server.publish('streamspace.session.status.local.local-1', '{"session_id": 7');
  await until('both are parked', async () => (await server.api('GET', 'admin/dlq')).items.length === 2);
  await page.goto(at());
  await page.getByRole('link', { name: /Dead letters/ }).click();
  await page.locator('li', { hasText: 'runing' }).getByRole('link', { name: 'Latest letter' }).click();
  await page.getByText(/would be parked again/).waitFor(); // what a replay would do
  await page.getByRole('button', { name: 'Correct' }).click();
  const editor = dialog().getByRole('textbox', { name: 'Corrected payload' });
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(report(crypto.randomUUID(), 'running'));
  await dialog().getByLabel('Reason').fill('a typo of the controller');
  const send = dialog().getByRole('button', { name: 'Send corrected' });
  expect(await send.isDisabled(), 'what was not checked is not sent').toBe(true);
  await dialog().getByRole('button', { name: 'Check' }).click();
  await dialog().getByText('The server can read it').waitFor();
  await send.click();
  await badge('Replayed').waitFor();
  await until('its effect is there', async () => (await server.api('GET', `sessions/${id}`)).message === 'corrected by hand');

  await page.getByRole('link', { name: 'Dead letters' }).first().click();
  await page.locator('li', { hasText: 'EOF' }).getByRole('button', { name: 'Discard' }).click();
  await dialog().getByLabel('Reason').fill('noise');
  await dialog().getByRole('button', { name: 'Discard' }).click();
  await page.getByText('No open dead letters').waitFor({ timeout: 20_000 });
  await server.api('DELETE', `sessions/${id}`);
});

test('a replay of many is foretold, then halts on its first try or ends', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  for (const event of [crypto.randomUUID(), crypto.randomUUID()]) await server.publish('streamspace.session.status.local.local-1', JSON.stringify({ event_id: event, timestamp: new Date().toISOString(), session_id: id, controller_id: 'local-1', status: 'wrong', generation: 1 }));
  await until('they are parked', async () => (await server.api('GET', 'admin/dlq?status=open')).items.length === 2);
  await page.goto(at('dead-letters'));
  await page.getByRole('button', { name: 'Replay 2 letters' }).click();
  await dialog().getByText(/would be parked again/).first().waitFor();
  await dialog().getByRole('button', { name: 'Replay', exact: true }).click();
  await page.getByRole('heading', { name: 'Replay dead letters' }).waitFor();
  await badge('Halted').waitFor({ timeout: 30_000 });
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await dialog().getByRole('button', { name: 'Cancel job' }).click();
  await badge('Cancelled').waitFor();
  await server.api('DELETE', `sessions/${id}`);
});

test('an operator holds a breaker open with a reason, and a session that comes then says so', async () => {
  await page.goto(at('controllers/local-1'));
  await page.getByRole('button', { name: 'Hold it open' }).click();
  expect(await dialog().getByRole('button', { name: 'Hold it open' }).isDisabled()).toBe(true);
  await dialog().getByLabel('Reason').fill('new kernel');
  await dialog().getByRole('button', { name: 'Hold it open' }).click();
  await page.getByText('Open, held').waitFor();
  const { session_id: id } = await create();
  await page.goto(at(`sessions/${id}`));
  await page.getByText('Waiting for a place').waitFor();
  await server.api('POST', 'admin/controllers/local-1/breaker', { action: 'close', reason: 'test' }).catch(() => {});
  await server.api('POST', 'admin/controllers/local-1/breaker', { action: 'release', reason: 'test' });
  await badge('Running').waitFor({ timeout: 30_000 });
  await server.api('DELETE', `sessions/${id}`);
});

test('the events page pauses without losing what comes meanwhile', async () => {
  await page.goto(at('events?kind=command'));
  await live();
  const { session_id: id } = await create();
  await page.getByRole('link', { name: new RegExp(id.slice(-8)) }).first().waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  const later = await create();
  await page.getByRole('button', { name: /Resume \(\d+ waiting\)/ }).click();
  await page.getByRole('link', { name: new RegExp(later.session_id.slice(-8)) }).first().waitFor();
  for (const session of [id, later.session_id]) await server.api('DELETE', `sessions/${session}`);
});

test('a mistake in a manifest is shown with its line, and a right one is installed', async () => {
  await page.goto(at('templates'));
  await page.getByRole('button', { name: 'Write a template' }).click();
  const editor = dialog().getByRole('textbox', { name: 'Manifest' });
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText('apiVersion: stream.space/v1alpha1\nkind: Template\nmetadata:\n  name: tools\nspec:\n  displayName: [\n');
  await dialog().getByRole('button', { name: 'Save' }).click();
  await dialog().getByRole('alert').waitFor();
  await dialog().locator('.cm-mistake').waitFor();
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(catalog([['tools', 'Tools', 'Other', 'Some tools.']]));
  await dialog().getByRole('button', { name: 'Save' }).click();
  await page.getByRole('link', { name: 'Tools' }).waitFor();
});

test('under a path of a proxy everything works alike', async () => {
  const proxy = http.createServer((request, response) => {
    const target = http.request({ host: '127.0.0.1', port: server.port, method: request.method, path: request.url!.replace(/^\/streamspace/, '') || '/', headers: { ...request.headers, 'x-forwarded-prefix': '/streamspace' } }, (answer) => { response.writeHead(answer.statusCode!, answer.headers); answer.pipe(response); });
    target.on('error', () => response.destroy());
    response.on('close', () => target.destroy());
    request.pipe(target);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const own = await browser.newContext();
  const below = await fresh(own);
  const root = `http://localhost:${(proxy.address() as { port: number }).port}/streamspace/`;
  await below.goto(`${root}doctor`);
  await below.getByLabel('Administrator token').fill(server.endpoints.admin_token);
  await below.getByRole('button', { name: 'Log in' }).click();
  await below.getByRole('heading', { name: 'Doctor' }).waitFor();
  await live(below);
  await below.getByRole('link', { name: 'Queue' }).click();
  expect(below.url()).toBe(`${root}queue`);
  await below.reload();
  await below.getByRole('heading', { name: 'Queue' }).waitFor();
  expect((await own.cookies())[0]!.path).toBe('/streamspace/');
  await own.close();
  proxy.closeAllConnections();
  proxy.close();
});

test('the start is small and quick, and asks no other host', async () => {
  const cold = await browser.newContext({ storageState: await context.storageState() });
  const first = await fresh(cold);
  let bytes = 0;
  first.on('response', async (response) => { if (response.url().includes('/assets/') && response.url().endsWith('.js')) bytes += Number((await response.allHeaders())['content-length'] ?? 0); });
  const begun = Date.now();
  await first.goto(at('sessions'));
  await first.getByRole('heading', { name: /Sessions|No sessions yet/ }).first().waitFor();
  await first.locator('table, .empty').first().waitFor();
  const took = Date.now() - begun;
  expect(bytes).toBeGreaterThan(50_000);
  expect(bytes, 'gzip bytes of JavaScript').toBeLessThan(250_000);
  expect(took, 'milliseconds to the first list, on a busy machine').toBeLessThan(3_000);
  const folder = path.join(import.meta.dirname ?? __dirname, '../../dist/assets');
  expect(readdirSync(folder).filter((name) => name.endsWith('.js')).every((name) => /-[\w-]{8}\.js$/.test(name)), 'names hold a hash').toBe(true);
  await cold.close();
  expect([...hosts].every((host) => /^(localhost|127\.0\.0\.1):\d+$/.test(host)), [...hosts].join(' ')).toBe(true);
});

test('every page passes axe in both themes, and nothing is wider than a small phone', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  await server.publish('streamspace.session.status.local.local-1', '{"session_id": 8');
  const letter = await until('it is parked', async () => (await server.api('GET', 'admin/dlq?status=open')).items[0]);
  const [job] = (await server.api('GET', 'jobs')).items;
  const pages = ['', 'sessions', `sessions/${id}`, 'dead-letters', 'dead-letters?view=list', `dead-letters/${letter.id}`, 'controllers', 'controllers/local-1', 'jobs', `jobs/${job.job_id}`, 'events', 'queue', 'templates', 'templates/gimp', 'applications', 'doctor', 'nowhere'];
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    const own = await browser.newContext({ storageState: await context.storageState(), colorScheme, reducedMotion: 'reduce', bypassCSP: true });
    const looked = await fresh(own);
    for (const where of pages) {
      await looked.goto(at(where));
      await looked.locator('h1, .empty h2').first().waitFor();
      await until('it has loaded', async () => (await looked.locator('.skeleton').count()) === 0);
      await looked.evaluate(AXE);
      const { violations } = await looked.evaluate(() => (window as never as { axe: { run(options: unknown): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run({ resultTypes: ['violations'] }));
      for (const violation of violations) found.push(`${colorScheme} /${where}: ${violation.id}: ${violation.nodes.slice(0, 2).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary.replace(/\s+/g, ' ').slice(0, 200)}`).join(' | ')}`);
      if (colorScheme === 'light') {
        await looked.setViewportSize({ width: 320, height: 640 });
        const wide = await looked.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) found.push(`/${where} is ${wide} px too wide at 320 px`);
        await looked.setViewportSize({ width: 1280, height: 800 });
      }
    }
    await own.close();
  }
  expect(found).toEqual([]);
}, 150_000);
