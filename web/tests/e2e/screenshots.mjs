// Pictures of every page, light, dark and narrow: node tests/e2e/screenshots.mjs [FOLDER]
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { LAUNCH, Server, catalog, fromDisk, until } from './server.mjs';

const folder = process.argv[2] ?? 'screenshots';
mkdirSync(folder, { recursive: true });
const server = await Server.start();
const browser = await chromium.launch(LAUNCH);
try {
  await server.api('POST', 'templates', catalog([
    ['firefox', 'Firefox', 'Browsers', 'A browser in the browser, with its profile in the home.'],
    ['vscode', 'VS Code', 'Development', 'An editor for code, with terminals and extensions.'],
    ['jupyter', 'JupyterLab', 'Data', 'Notebooks for Python, R and Julia.'],
    ['blender', 'Blender', 'Graphics', 'Modelling, animation and rendering.'],
    ['gimp', 'GIMP', 'Graphics', 'Painting and retouching of pictures.'],
  ]), 'application/yaml');
  const create = (body) => server.api('POST', 'sessions', body);
  const sessions = [];
  for (const [template_id, user_id, tags] of [['jupyter', 'ada', ['course-7']], ['vscode', 'grace', []], ['firefox', 'alan', []], ['blender', 'ada', ['render']], ['scratchpad', 'admin', []], ['vscode', 'linus', []], ['scratchpad', 'admin', []]]) {
    sessions.push(await create({ template_id, user_id, tags, idle_timeout: '30m', ...(template_id === 'blender' ? { max_duration: '8h' } : {}) }));
  }
  const state = async (session) => (await server.api('GET', `sessions/${session.session_id}`)).status;
  for (const session of sessions) await until('it runs', async () => (await state(session)) === 'running', 60_000);
  await server.api('POST', `sessions/${sessions[2].session_id}/hibernate`);
  await server.api('POST', `sessions/${sessions[4].session_id}/hibernate`);
  await server.announce('docker');
  sessions.push(await create({ template_id: 'gimp', user_id: 'grace', platform: 'docker' }));
  await until('it sleeps', async () => (await state(sessions[4])) === 'hibernated');
  const report = (status, session) => JSON.stringify({ event_id: crypto.randomUUID(), timestamp: new Date().toISOString(), session_id: session.session_id, controller_id: 'local-1', status, generation: 1 });
  for (const session of sessions.slice(0, 3)) await server.publish('streamspace.session.status.local.local-1', report('runing', session));
  await server.publish('streamspace.session.status.local.local-1', '{"session_id": 7');
  const letters = await until('letters are parked', async () => { const { items } = await server.api('GET', 'admin/dlq'); return items.length >= 2 ? items : null; });
  await server.api('POST', 'applications', { manifest: catalog([['files', 'Files', 'Productivity', 'A list of files.']]) });
  const job = await server.api('POST', 'sessions/bulk', { action: 'hibernate', filter: { user_id: 'linus' } });
  const pages = {
    launchpad: '', sessions: 'sessions', session: `sessions/${sessions[3].session_id}`, waiting: `sessions/${sessions[7].session_id}`, open: `open/${sessions[7].session_id}`,
    letters: 'dead-letters', letter: `dead-letters/${letters.find((letter) => letter.entity)?.id ?? letters[0].id}`, controllers: 'controllers', controller: 'controllers/local-1', jobs: 'jobs', job: `jobs/${job.job_id}`,
    events: 'events', queue: 'queue', templates: 'templates', template: 'templates/vscode', applications: 'applications', doctor: 'doctor',
  };
  const wanted = (process.env.ONLY ?? '').split(',').filter(Boolean);
  const looks = { light: { width: 1360, height: 860, colorScheme: 'light' }, dark: { width: 1360, height: 860, colorScheme: 'dark' }, narrow: { width: 360, height: 720, colorScheme: 'light' } };
  let state_file;
  for (const [look, { width, height, colorScheme }] of Object.entries(looks)) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme, ...(state_file ? { storageState: state_file } : {}) });
    await fromDisk(context);
    const page = await context.newPage();
    page.on('console', (message) => { if (message.type() === 'error') console.error(look, page.url(), message.text()); });
    page.on('pageerror', (error) => console.error(look, page.url(), error.message));
    if (!state_file) {
      await page.goto(server.link);
      await page.screenshot({ path: path.join(folder, 'login-light.png') });
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('heading', { name: 'Launchpad' }).waitFor();
      state_file = await context.storageState();
    }
    for (const [name, at] of Object.entries(pages)) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      await page.goto(server.url + at);
      await page.locator('h1').first().waitFor();
      if (name === 'events') await create({ template_id: 'scratchpad', user_id: 'admin' });
      await page.locator('.feed[data-state=live]').waitFor({ state: 'attached' }).catch(() => {});
      await page.waitForTimeout(name === 'events' ? 1_200 : 350); // fonts and the last answers; a picture is no test
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) console.error(`${name} at ${look}: ${wide} px too wide`);
      await page.screenshot({ path: path.join(folder, `${name}-${look}.png`) });
    }
    await context.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
