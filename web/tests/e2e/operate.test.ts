/** What operators do: dead letters, replays, breakers and events. */
import { expect, test } from 'vitest';
import { at, badge, catalog, create, dialog, live, page, reaches, server, status, until, useStage } from './stage.ts';

useStage();

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

test('a platform shows its health, breakers, lane, room and version', async () => {
  await server.announce('docker');
  await page.goto(at('controllers'));
  const platforms = page.getByRole('region', { name: 'Platforms' });
  const local = platforms.locator('li', { hasText: 'local' });
  await local.getByText('1 of 1').waitFor();
  await local.getByText('All closed').waitFor();
  await local.getByText('Durable (JetStream)').waitFor();
  await local.getByText(/^\d+ of \d+$/).last().waitFor();
  await platforms.locator('li', { hasText: 'docker' }).getByText('0 of 1').waitFor();
});
