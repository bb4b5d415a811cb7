/** The life of a session, in the browser alone. */
import { expect, test } from 'vitest';
import { at, badge, catalog, create, dialog, page, reaches, server, status, useStage } from './stage.ts';

useStage();

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

test('why a session waits is said in words, on the launchpad, on its page and in the queue', async () => {
  await server.api('POST', 'templates', catalog([['gimp', 'GIMP', 'Graphics', 'Pictures.']]), 'application/yaml');
  await server.announce('docker');
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

test('a slider goes over the life of a session and tells what changed between two points', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  await page.goto(at(`sessions/${id}`));
  await badge('Running').waitFor();
  const past = page.getByRole('region', { name: 'Then and now' });
  const to = past.getByRole('slider', { name: 'To' });
  await to.focus();
  await page.keyboard.press('Home'); // as far back as the other end
  await page.waitForURL(/at=/);
  const from = past.getByRole('slider', { name: 'From' });
  await from.focus();
  await page.keyboard.press('Home');
  await to.focus();
  await page.keyboard.press('End');
  await page.waitForURL((url) => !url.searchParams.has('at') && url.searchParams.has('since'));
  await past.getByText('Status', { exact: true }).waitFor();
  await past.locator('del', { hasText: /^pending$/ }).waitFor();
  await past.locator('ins', { hasText: /^running$/ }).waitFor();
  await past.getByRole('button', { name: 'Step back' }).click();
  await page.getByText('As it was on').waitFor();
  await page.getByRole('link', { name: 'Back to now' }).click();
  await page.waitForURL((url) => url.search === '');

  // a controller of the platform local says it only now and then
  await page.route(`**/api/v1/sessions/${id}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), resource_usage: { cpu: '250m', memory: '640Mi' } } });
  });
  await page.reload();
  await page.getByRole('region', { name: 'Use' }).locator('canvas').first().waitFor();
  await page.getByRole('figure', { name: 'Memory: 640 MiB' }).waitFor();
  await page.unroute(`**/api/v1/sessions/${id}`);
  await server.api('DELETE', `sessions/${id}`);
});
