// A surgeon signs a note by keyboard alone: what was given is on standard input, what was seen on output.
import { readFileSync } from 'node:fs';
import { Keyboard, findings, open, visit } from './browser.mjs';

const given = JSON.parse(readFileSync(0, 'utf8'));
const browser = await open();
const { page, seen, context } = await visit(browser, {
  width: 1280,
  height: 900,
  origins: given.origins
});
const hands = new Keyboard(page);
const axe = [];

async function shoot(name, options = {}) {
  if (given.screenshots) {
    await page.screenshot({ path: `${given.screenshots}/${name}.png`, ...options });
  }
}

await context.addInitScript(() => {
  const look = () => {
    if (document.querySelector('.note-form [data-linkid]')) {
      watching.disconnect();
      // A task after the next frame: the form is laid out and drawn by then.
      requestAnimationFrame(() => setTimeout(() => (window.shownAt = performance.now())));
    }
  };
  const watching = new MutationObserver(look);
  watching.observe(document, { childList: true, subtree: true });
});
await page.goto(given.start);
await page.waitForFunction(() => window.shownAt, null, { timeout: 60_000 });
const shown = await page.evaluate(() => ({
  opened: Math.round(window.shownAt),
  populated: Math.round(
    window.shownAt -
      performance.getEntriesByType('resource').find(({ name }) => name.endsWith('/$populate')).startTime
  )
}));
axe.push(...(await findings(page, 'the note as it opens')));
await shoot('note-opened');

for (const { how, question, value } of given.answers) {
  await hands[how](question, value);
}
await page.locator('[data-state="saved"]').waitFor({ timeout: 30_000 });
axe.push(...(await findings(page, 'the note when it is answered')));
await shoot('note-answered');
const address = page.url();
await hands.press(/^Sign as /);
const signed = page.getByRole('heading', { name: 'The note is signed' });
const refused = page.locator('.summary');
await signed.or(refused).waitFor({ timeout: 60_000 });
if (await refused.count()) {
  throw new Error(await refused.innerText());
}
await page.locator('[data-copy="written"], [data-copy="refused"]').waitFor({ timeout: 30_000 });
const copied = await page.locator('[data-copy]').innerText();
axe.push(...(await findings(page, 'the receipt')));
await shoot('note-signed');
const pdf = await page.getByRole('link', { name: 'Open the note as PDF' }).getAttribute('href');
const printed = await page.evaluate(async (href) => {
  const answer = await fetch(href, { cache: "no-store" });
  return { status: answer.status, type: answer.headers.get('content-type') };
}, pdf);
await page.getByRole('button', { name: 'Finish' }).focus();
await page.keyboard.press('Enter');
await page.getByText('The session has ended.').waitFor();
await page.goto(address);
await page.getByRole('heading', { level: 1 }).waitFor();
const left = await page.locator('body').innerText();
const kept = await page.evaluate(() => ({
  local: Object.keys(localStorage),
  session: Object.keys(sessionStorage)
}));
await context.close();
await browser.close();
process.stdout.write(
  JSON.stringify({ interactions: hands.interactions, axe, ...seen, kept, pdf, printed, left, shown, copied })
);
