// An app with npm's fhirclient, launched by itself: a person signs in, chooses a child, lets it in.
import { readFileSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const browser = await open();
const origins = [given.root, given.app];
const { page, seen } = await visit(browser, { width: 900, height: 700, origins });
const axe = [];

await page.goto(given.app);
await page.getByRole('link', { name: /Development sign-in/ }).click();
await page.getByRole('radio', { name: given.who, exact: true }).check();
await page.getByRole('button', { name: 'Sign in' }).click();
await page.getByRole('heading', { name: 'Let this app in?' }).waitFor();
axe.push(...(await findings(page, 'asked')));
await page.getByLabel('Find the child').fill(given.child);
await page.getByRole('button', { name: 'Find' }).click();
await page.getByRole('radio', { name: new RegExp(given.child) }).check();
axe.push(...(await findings(page, 'chosen')));
const asked = await page.getByRole('listitem').allInnerTexts();
await page.getByRole('button', { name: 'Let it in', exact: true }).click();
await page.waitForFunction(() => document.getElementById('found')?.textContent);
const found = JSON.parse(await page.locator('#found').innerText());
await browser.close();
console.log(JSON.stringify({ asked, found, axe, errors: seen.errors, foreign: seen.foreign }));
