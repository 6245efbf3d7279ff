// An app with npm's fhirclient, opened from the registry's page of apps for a child: a person signs in
// there, finds the child, opens the app, and lets it in.
import { readFileSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const browser = await open();
const origins = [given.root, given.app];
const { page, seen } = await visit(browser, { width: 900, height: 700, origins });
const axe = [];

await page.goto(`${given.root}/apps`);
await page.getByRole('link', { name: /Development sign-in/ }).click();
await page.getByRole('radio', { name: given.who, exact: true }).check();
await page.getByRole('button', { name: 'Sign in' }).click();
await page.getByRole('heading', { name: 'Open an app' }).waitFor();
await page.getByLabel('Find the child').fill(given.child);
await page.getByRole('button', { name: 'Find' }).click();
await page.getByRole('radio', { name: new RegExp(given.child) }).check();
axe.push(...(await findings(page, 'apps')));
await page.getByRole('button', { name: 'Open growth', exact: true }).click();
await page.getByRole('heading', { name: 'Let this app in?' }).waitFor();
axe.push(...(await findings(page, 'asked')));
const asked = new URL(page.url()).searchParams;
const chooses = await page.getByLabel('Find the child').count();
const words = await page.getByRole('main').innerText();
await page.getByRole('button', { name: 'Let it in', exact: true }).click();
await page.waitForFunction(() => document.getElementById('found')?.textContent);
const found = JSON.parse(await page.locator('#found').innerText());
await browser.close();
const told = { scope: asked.get('scope'), pkce: asked.get('code_challenge_method'), chooses, words };
console.log(JSON.stringify({ ...told, found, axe, errors: seen.errors, foreign: seen.foreign }));
