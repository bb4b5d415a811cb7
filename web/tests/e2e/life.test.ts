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
