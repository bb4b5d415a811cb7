/** Every page for everybody: axe, themes and narrow screens. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { at, browser, context, catalog, create, fresh, page, reaches, server, status, until, useStage } from './stage.ts';

useStage();
const AXE = readFileSync(path.join(import.meta.dirname, '../../node_modules/axe-core/axe.min.js'), 'utf8');

test('every page passes axe in both themes, and nothing is wider than a small phone', async () => {
  const { session_id: id } = await create();
  await reaches(id, 'running');
  await server.publish('streamspace.session.status.local.local-1', '{"session_id": 8');
  const letter = await until('it is parked', async () => (await server.api('GET', 'admin/dlq?status=open')).items[0]);
  await server.api('POST', 'templates', catalog([['gimp', 'GIMP', 'Graphics', 'Pictures.']]), 'application/yaml');
  const job = await server.api('POST', 'sessions/bulk', { action: 'hibernate', filter: { user_id: 'nobody' }, dry_run: true });
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
