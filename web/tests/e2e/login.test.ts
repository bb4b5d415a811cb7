/** Logging in, and what a session may do with a login. */
import http from 'node:http';
import { expect, test } from 'vitest';
import { at, browser, context, create, fresh, live, page, reaches, server, useStage } from './stage.ts';

useStage({ login: false });

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
