// A person signs in by the demo's provider, sees what the role may see, and signs out.
import { readFileSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const browser = await open();
const { page, seen } = await visit(browser, { width: 900, height: 700, origins: [given.root] });
const axe = [];
const notices = [];

async function look(where) {
  notices.push(await page.getByRole('note').innerText());
  axe.push(...(await findings(page, where)));
}

/** Ask the server as the page does: returns the status. */
async function asked(method, path, csrf) {
  return page.evaluate(
    async ([how, where, secret]) => {
      const headers = { 'Content-Type': 'application/fhir+json', ...(secret && { 'X-CSRF-Token': secret }) };
      const body = how === 'POST' ? JSON.stringify({ resourceType: 'Patient' }) : undefined;
      return (await fetch(where, { method: how, headers, body })).status;
    },
    [method, path, csrf]
  );
}

async function signedIn(who) {
  await page.goto(`${given.root}/sign-in`);
  await look('sign-in');
  await page.getByRole('link', { name: /Development sign-in/ }).click();
  await look('who');
  await page.getByRole('radio', { name: who, exact: true }).check();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Signed in', exact: true }).waitFor();
  await look('signed in');
  const said = await page.getByRole('main').innerText();
  const { csrf } = await page.evaluate(async () => (await fetch('/session')).json());
  const may = {
    read: await asked('GET', '/fhir/Patient?_summary=count'),
    forged: await asked('POST', '/fhir/Patient'),
    write: await asked('POST', '/fhir/Patient', csrf)
  };
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await look('signed out');
  const after = await page.evaluate(async () => (await fetch('/session')).status);
  const cookies = (await page.context().cookies()).filter(({ name }) => name === 'csor');
  return { said: said.split('\n').find((line) => line.startsWith('You are')), may, after, cookies };
}

const people = {};
for (const who of given.people) {
  people[who] = await signedIn(who);
}
await browser.close();
console.log(JSON.stringify({ people, notices: [...new Set(notices)], axe, ...seen }));
