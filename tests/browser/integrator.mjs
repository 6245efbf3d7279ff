// A vendor registers a client and looks at its scorecard: what was given is on standard input.
import { readFileSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const axe = [];
const said = {};

const browser = await open();
const { context, page, seen } = await visit(browser, { width: given.width, height: 1000, origins: given.origins });
const press = (name) => page.getByRole('button', { name, exact: true }).click();
const main = () => page.getByRole('main').innerText();

async function look(name, isPictured = true) {
  axe.push(...(await findings(page, name)));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > given.width) {
    axe.push(`${name}: ${wide} pixels wide`);
  }
  if (given.screenshots && isPictured) {
    await page.screenshot({ path: `${given.screenshots}/integrator-${name}.png`, fullPage: true });
  }
}

await page.goto(`${given.origins[0]}/integrators`);
await page.getByRole('button', { name: given.button }).waitFor({ timeout: 60_000 });
said.opened = await main();
await look(`${given.kind}-opened`, given.kind === 'sandbox');
await press(given.button);
await page.getByText('The keys are no JSON').waitFor();
await page.getByRole('radio', { name: 'By a bearer token' }).check();
await page.getByLabel('Name of the client').fill('Wren EPR');
await press(given.button);
await page.getByText('small letters, digits and hyphens, as oxford-epr.').last().waitFor();
said.refused = await page.getByRole('alert').innerText();
await look(`${given.kind}-refused`, false);
await page.getByLabel('Name of the client').fill('wren-epr');
if (given.kind === 'sandbox') {
  await page.getByLabel('Hospital').selectOption('RTH');
  await press(given.button);
  await page.getByRole('heading', { name: 'wren-epr is registered' }).waitFor({ timeout: 30_000 });
  said.done = await main();
  await look('registered', false);
  await press('Go to the scorecard');
  await press('Show the scorecard');
  await page.getByRole('heading', { name: 'Scorecard of wren-epr' }).waitFor({ timeout: 30_000 });
  said.first = await main();
  const token = await page.getByLabel('Bearer token of the client').inputValue();
  for (const { method, path, body } of given.traffic) {
    await fetch(`${given.origins[0]}/fhir/${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/fhir+json' },
      body: body && JSON.stringify(body)
    });
  }
  await press('Look again');
  await page.getByText(given.counts).waitFor({ timeout: 30_000 });
  said.after = await main();
  await look('scorecard');
  await page.getByText('I work for the registry').click();
  await page.getByLabel('Name of the client').fill('nobody');
  await press('Look again');
  await page.getByText('There is no client nobody here').waitFor({ timeout: 30_000 });
} else {
  await page.getByLabel('Hospital').fill('RTH');
  await press(given.button);
  await page.getByRole('heading', { name: 'Send this to the operator' }).waitFor({ timeout: 30_000 });
  said.done = await main();
  await look('request');
}
said.address = page.url();
await context.close();
await browser.close();
console.log(JSON.stringify({ ...said, axe, ...seen }));
