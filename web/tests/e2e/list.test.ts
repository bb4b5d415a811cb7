/** The list of sessions: filtered, patched, selected and acted on. */
import { expect, test } from 'vitest';
import { madeUp } from './made-up.ts';
import { at, badge, browser, catalog, context, create, dialog, fresh, live, page, reaches, server, status, until, useStage } from './stage.ts';

useStage();

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

test('all that match are one job on the server, which is foretold and can be watched', async () => {
  await server.api('POST', 'templates', catalog([['gimp', 'GIMP', 'Graphics', 'Pictures.']]), 'application/yaml');
  await server.announce('docker');
  for (let made = 0; made < 105; made += 15) await Promise.all(Array.from({ length: 15 }, () => create({ user_id: 'bulk', template_id: 'gimp', platform: 'docker' })));
  await page.goto(at('sessions?user_id=bulk'));
  await page.getByText('Rows 1–100').waitFor();
  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check();
  await page.getByText('100 selected').waitFor();
  await page.getByRole('button', { name: 'Select all that match the filter' }).click();
  await page.getByRole('region', { name: 'Selection' }).getByRole('button', { name: 'Delete' }).click();
  await dialog().getByText('user: bulk').waitFor();
  await dialog().getByText('105 sessions').waitFor({ timeout: 20_000 });
  await dialog().getByRole('button', { name: 'Start the job' }).click();
  await page.getByRole('link', { name: 'Watch it' }).click();
  await page.getByRole('heading', { name: 'Delete sessions' }).waitFor();
  await badge('Completed').waitFor({ timeout: 30_000 });
  await page.getByText('105 of 105').waitFor();
});

test('a long list keeps its place while one looks at a session and comes back, and its address leads there', async () => {
  const own = await browser.newContext({ storageState: await context.storageState(), viewport: { width: 1280, height: 800 } });
  const long = await fresh(own);
  await madeUp(long, 3_000);
  await long.goto(at('sessions'));
  const rowAt = (index: number) => long.locator(`tr.link[aria-rowindex="${index}"]`);
  await rowAt(2).waitFor();
  await long.evaluate(async () => { while (!document.querySelector('tr[aria-rowindex="1500"]')) { scrollBy(0, 1_000); await new Promise(requestAnimationFrame); } });
  await long.waitForURL(/cursor=after/);
  const seen = await rowAt(1500).textContent();
  const address = long.url();
  const place = await long.evaluate(() => scrollY);
  await rowAt(1500).getByRole('link').first().click();
  await long.waitForURL(/sessions\/0/);
  await long.goBack();
  await rowAt(1500).waitFor();
  expect(await long.evaluate(() => scrollY)).toBe(place);
  expect(await rowAt(1500).textContent()).toBe(seen);
  await long.goto('about:blank');
  await long.goto(address);
  await long.locator('tr.link').first().waitFor();
  await until('rows before it are read as one scrolls up', async () => { await long.evaluate(() => scrollTo(0, 0)); return (await long.locator('tr.link', { hasText: '00000000' }).count()) > 0 && long.locator(`a[href$="/sessions/00000000-0000-7000-8000-000000000000"]`).first().isVisible(); });
  await own.close();
});

test('a view is saved by name, with its filters, order and columns, and shortcuts can be switched off', async () => {
  await page.goto(at('sessions?status=all&sort=user_id'));
  await page.locator('summary', { hasText: 'Display' }).click();
  await page.getByRole('checkbox', { name: 'Controller' }).check();
  await page.getByRole('columnheader', { name: 'Controller' }).waitFor();
  await page.locator('summary', { hasText: 'Views' }).click();
  await page.getByRole('textbox', { name: 'Name of this view' }).fill('Everything by user');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.goto(at('sessions'));
  await page.locator('summary', { hasText: 'Display' }).click();
  await page.getByRole('checkbox', { name: 'Controller' }).uncheck();
  await page.locator('summary', { hasText: 'Views' }).click();
  await page.getByRole('link', { name: 'Everything by user' }).click();
  await page.waitForURL(/status=all&sort=user_id&view=Everything/);
  await page.getByRole('columnheader', { name: 'Controller' }).waitFor();

  await page.locator('summary', { hasText: 'Display' }).click();
  await page.getByRole('checkbox', { name: 'Keyboard shortcuts' }).uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  expect(await page.getByText('this line').count()).toBe(0);
  await page.locator('summary', { hasText: 'Display' }).click();
  await page.getByRole('checkbox', { name: 'Keyboard shortcuts' }).check();
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.getByText('this line').waitFor();
});
