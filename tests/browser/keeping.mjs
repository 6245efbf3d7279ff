// A draft through a network that goes and comes back, and through a change made elsewhere at once.
import { readFileSync } from 'node:fs';
import { findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const browser = await open();
const { page, seen, context } = await visit(browser, {
  width: 1280,
  height: 900,
  origins: given.origins
});
const said = {};
const standing = page.locator('.standing');
const blood = page.getByRole('textbox', { name: 'Blood loss (mL; 0 if none)' });
const urgency = (option) => page.getByRole('radio', { name: option, exact: true });
let id = '';
page.on('response', async (answer) => {
  if (answer.request().method() === 'POST' && answer.url().endsWith('/fhir/QuestionnaireResponse')) {
    ({ id } = await answer.json());
  }
});

async function stored() {
  const answer = await fetch(`${given.root}/fhir/QuestionnaireResponse/${id}`);
  return answer.json();
}

// The draft is stored, and the answer that says so is lost.
const first = { posts: 0 };
await page.route('**/fhir/QuestionnaireResponse', async (route) => {
  if (route.request().method() === 'POST' && (first.posts += 1) === 1) {
    await route.fetch();
    await route.abort();
  } else {
    await route.continue();
  }
});
await page.goto(given.start);
await page.locator('.note-form [data-linkid]').first().waitFor({ timeout: 60_000 });
await page.locator('[data-state="saved"]').waitFor({ timeout: 20_000 });
const found = await fetch(`${given.root}/fhir/QuestionnaireResponse?status=in-progress`);
said.begun = { posts: first.posts, drafts: (await found.json()).entry.length };

await context.setOffline(true);
await blood.fill('40');
await blood.blur();
await page.locator('[data-state="offline"]').waitFor({ timeout: 20_000 });
said.offline = await standing.innerText();
await urgency('Emergency').check();
said.whileOffline = JSON.stringify(await stored());
await context.setOffline(false);
await page.locator('[data-state="saved"]').waitFor({ timeout: 60_000 });
said.afterwards = JSON.stringify(await stored());

const elsewhere = await stored();
const operation = elsewhere.item.find(({ linkId }) => linkId === 'operation');
operation.item = operation.item.filter(({ linkId }) => linkId !== 'urgency');
const other = await fetch(`${given.root}/fhir/QuestionnaireResponse/${id}`, {
  method: 'PUT',
  headers: { 'Content-Type': 'application/fhir+json', 'If-Match': `W/"${elsewhere.meta.versionId}"` },
  body: JSON.stringify(elsewhere)
});
said.other = other.status;
await blood.fill('55');
await blood.blur();
const dialog = page.getByRole('alertdialog');
await dialog.waitFor({ timeout: 30_000 });
said.conflict = await dialog.innerText();
const axe = await findings(page, 'two versions');
if (given.screenshots) {
  await page.screenshot({ path: `${given.screenshots}/note-two-versions.png` });
}
await dialog.getByRole('row', { name: /^Operation/ }).getByLabel('Take the other').check();
await dialog.getByRole('button', { name: 'Go on with these answers' }).click();
await page.locator('[data-state="saved"]').waitFor({ timeout: 30_000 });
said.settled = JSON.stringify(await stored());
said.blood = await blood.inputValue();
said.emergency = await urgency('Emergency').isChecked();
await context.close();
await browser.close();
process.stdout.write(JSON.stringify({ ...said, axe, ...seen }));
