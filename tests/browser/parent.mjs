// A parent answers a survey on a phone in two sittings: what was given is on standard input.
import { readFileSync, readdirSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const axe = [];
const said = {};
const all = { stored: [], foreign: [], errors: [] };

/** A browser of its own: what the sitting before has left in one is not there. */
async function sitting() {
  const browser = await open();
  const found = await visit(browser, { width: 390, height: 844, origins: given.origins, touch: true });
  return { ...found, browser, press: (name) => found.page.getByRole('button', { name, exact: true }).click() };
}

async function look(page, name) {
  axe.push(...(await findings(page, name)));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 390) {
    axe.push(`${name}: ${wide} pixels wide`);
  }
  if (given.screenshots) {
    await page.screenshot({ path: `${given.screenshots}/survey-${name}.png` });
  }
}

async function enter({ page, press }, link, date) {
  await page.goto(link);
  await page.getByRole('heading', { name: 'First, one check' }).waitFor({ timeout: 60_000 });
  const [year, month, day] = date.split('-');
  await page.getByLabel('Day').fill(day);
  await page.getByLabel('Month').fill(month);
  await page.getByLabel('Year').fill(year);
  await press('Start');
}

async function answer({ page, press }, topic, answers) {
  await page.getByRole('heading', { level: 1, name: topic }).waitFor({ timeout: 30_000 });
  for (const [question, option] of answers) {
    const group = page.getByRole('group', { name: question });
    await group.getByRole('radio', { name: option, exact: true }).check();
  }
  await press('Next');
}

async function done({ seen, context, browser }) {
  for (const [name, found] of Object.entries(seen)) {
    all[name].push(...found);
  }
  await context.close();
  await browser.close();
}

const first = await sitting();
await enter(first, given.link, given.wrongDate);
await first.page.getByRole('alert').getByRole('paragraph').first().waitFor({ timeout: 30_000 });
said.wrongDate = await first.page.getByRole('main').innerText();
said.address = await first.page.evaluate(() => window.location.href);
await look(first.page, 'wrong-date');
await first.page.getByLabel('Year').fill(given.date.slice(0, 4));
await first.press('Start');
await first.page.getByRole('heading', { name: 'What we may use' }).waitFor({ timeout: 30_000 });
await first.press('Next');
said.undecided = await first.page.getByRole('main').innerText();
for (const each of await first.page.getByRole('radio', { name: 'Yes, you may' }).all()) {
  await each.check();
}
await look(first.page, 'consent');
await first.press('Next');
await first.page.getByRole('heading', { level: 1, name: /About your child/ }).waitFor({ timeout: 30_000 });
await first.press('Next');
await first.page.getByText('Please answer this question.').waitFor();
await look(first.page, 'missing');
for (const { topic, answers } of given.first) {
  await answer(first, topic, answers);
}
await first.press('Cymraeg');
await first.page.getByRole('heading', { level: 1, name: given.welsh }).waitFor({ timeout: 30_000 });
await first.page.locator('[data-state="saved"]').waitFor({ timeout: 30_000 });
said.welsh = await first.page.locator('body').innerText();
said.welshIs = await first.page.evaluate(() => document.documentElement.lang);
await look(first.page, 'welsh');
await first.press('English');
await first.page.getByRole('heading', { level: 1, name: given.second[0].topic }).waitFor({ timeout: 30_000 });
said.english = await first.page.locator('body').innerText();
await first.page.locator('[data-state="saved"]').waitFor({ timeout: 30_000 });
await first.press('Save and go on later');
await first.page.getByRole('heading', { name: 'Your answers are saved' }).waitFor({ timeout: 30_000 });
said.later = await first.page.getByRole('main').innerText();
await look(first.page, 'later');
await first.press('Send me a new link');
await first.page.getByText('A new link is on its way').waitFor({ timeout: 30_000 });
const [message] = readdirSync(given.outbox);
const [second] = /http\S+#\S+/.exec(readFileSync(`${given.outbox}/${message}`, 'utf8'));
await done(first);

const reused = await sitting();
await enter(reused, given.link, given.date);
await reused.page.getByRole('alert').getByRole('paragraph').first().waitFor({ timeout: 30_000 });
said.reused = await reused.page.getByRole('main').innerText();
await done(reused);

const again = await sitting();
await enter(again, second, given.date);
const [next] = given.second;
await again.page.getByRole('heading', { level: 1, name: next.topic }).waitFor({ timeout: 30_000 });
await look(again.page, 'topic');
for (const { topic, answers } of given.second) {
  await answer(again, topic, answers);
}
await again.page.getByRole('heading', { name: 'Check your answers' }).waitFor({ timeout: 30_000 });
said.review = await again.page.getByRole('main').innerText();
await look(again.page, 'review');
await again.press('Send');
await again.page.getByRole('heading', { name: 'Thank you' }).waitFor({ timeout: 30_000 });
await look(again.page, 'sent');
await again.page.reload();
await again.page.getByRole('heading', { level: 1 }).waitFor({ timeout: 30_000 });
said.afterwards = await again.page.getByRole('main').innerText();
await done(again);
process.stdout.write(JSON.stringify({ ...said, axe, ...all }));
