/**
 * What every file of tests begins with: a `streamspace dev` of its own, a chromium, and a page that is logged in. Mistakes of any page
 * (an exception, something that the policy forbids) fail the file.
 */
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { LAUNCH, Server, fromDisk, until } from './server.mjs';

export { catalog, until } from './server.mjs';
export let server: InstanceType<typeof Server>;
export let browser: Browser;
export let context: BrowserContext;
export let page: Page;
const trouble: string[] = [];
/** Every host that was asked for something. */
export const hosts = new Set<string>();

/** A page whose mistakes fail the tests that made them. */
export async function fresh(of: BrowserContext = context): Promise<Page> {
  await fromDisk(of);
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

/** Starts everything before the tests of a file, and ends it after them. */
export function useStage({ login = true } = {}): void {
  beforeAll(async () => {
    [server, browser] = await Promise.all([Server.start(), chromium.launch(LAUNCH)]);
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await fresh();
    if (login) await logIn(page);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    expect(trouble).toEqual([]);
  });
}

export async function logIn(of: Page, url = at()): Promise<void> {
  await of.goto(url);
  await of.getByLabel('Administrator token').fill(server.endpoints.admin_token);
  await of.getByRole('button', { name: 'Log in' }).click();
  await of.locator('nav').first().waitFor({ state: 'attached' });
}

export const at = (where = ''): string => server.url + where;
export const status = async (id: string): Promise<string> => (await server.api('GET', `sessions/${id}`)).status;
export const reaches = (id: string, wanted: string) => until(`session is ${wanted}`, async () => (await status(id)) === wanted, 30_000);
export const create = (body: Record<string, unknown> = {}): Promise<{ session_id: string; url: string }> => server.api('POST', 'sessions', { template_id: 'scratchpad', ...body });
export const live = (of: Page = page) => of.locator('.feed[data-state=live]').waitFor({ state: 'attached' });
export const dialog = (of: Page = page) => of.getByRole('dialog');
export const badge = (text: string, of: Page = page) => of.locator('header .badge', { hasText: text }).first();
