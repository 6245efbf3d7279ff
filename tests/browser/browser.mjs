// A real Chromium, what is asked of it on every page, and the count of what a person does.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import chromiumOfNpm from '@sparticuz/chromium';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

function onPath() {
  for (const name of NAMES) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      // not this one
    }
  }
  return null;
}

/** Open a browser: the machine's own Chromium, or the one that npm brings. */
export async function open() {
  const own = onPath();
  if (own) {
    return chromium.launch({ executablePath: own, args: ['--headless=new', '--no-sandbox'] });
  }
  // No graphics processor is imitated on the machine's own, where each frame would wait for it.
  chromiumOfNpm.setGraphicsMode = false;
  // Its own arguments switch off what a browser protects by, which is looked at here.
  const args = chromiumOfNpm.args.filter(
    (each) => !/^--(headless|disable-web-security|disable-site-isolation|allow-running)/.test(each)
  );
  const executablePath = await chromiumOfNpm.executablePath();
  return chromium.launch({
    executablePath,
    args: [...args, '--headless=shell'],
    env: { ...process.env, FONTCONFIG_PATH: '/tmp/fonts' }
  });
}

/** Open a page in a context of its own, which notes what no page may do. */
export async function visit(browser, { width, height, origins, touch = false }) {
  const context = await browser.newContext({
    viewport: { width, height },
    locale: 'en-GB',
    timezoneId: 'Europe/London',
    hasTouch: touch,
    isMobile: touch
  });
  const seen = { stored: [], foreign: [], errors: [] };
  await context.exposeFunction('noteStored', (what) => seen.stored.push(what));
  await context.addInitScript(() => {
    const tell = (what) => window.noteStored(what);
    const set = Storage.prototype.setItem;
    Storage.prototype.setItem = function (key, value) {
      tell(`storage ${key}`);
      return set.call(this, key, value);
    };
    const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (name, version) {
      tell(`indexedDB ${name}`);
      return open.call(this, name, version);
    };
    if (window.CacheStorage) {
      const cache = CacheStorage.prototype.open;
      CacheStorage.prototype.open = function (name) {
        tell(`cache ${name}`);
        return cache.call(this, name);
      };
    }
  });
  const page = await context.newPage();
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && !origins.includes(url.origin)) {
      seen.foreign.push(url.origin);
    }
  });
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy/.test(message.text())) {
      seen.errors.push(message.text());
    }
  });
  return { context, page, seen };
}

/** Return the serious and critical findings of axe on what is shown now. */
export async function findings(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, impact, nodes }) => `${where}: ${impact} ${id}: ${nodes[0].html.slice(0, 160)}`);
}

/**
 * A person at the keyboard: no mouse. Each control changed and each button pressed is one interaction;
 * text that is typed is one for its field; moving from one to the next is none.
 */
export class Keyboard {
  constructor(page) {
    this.page = page;
    this.interactions = [];
  }

  /** Move on with Tab until a control of this name has the keyboard; fails after a whole round. */
  async reach(role, name, { most = 260 } = {}) {
    for (let step = 0; step < most; step += 1) {
      if (await this.at(role, name)) {
        return;
      }
      await this.page.keyboard.press('Tab');
    }
    throw new Error(`the keyboard does not reach the ${role} ${name}`);
  }

  async at(role, name) {
    return this.page.getByRole(role, { name, exact: true }).evaluateAll(
      (found) => found.includes(document.activeElement)
    );
  }

  /** Choose one radio button of a group: Tab to the group, the arrows within it, or the space bar. */
  async choose(question, option) {
    const group = this.page.getByRole('group', { name: question, exact: true });
    await this.within(group, question);
    const wanted = group.getByRole('radio', { name: option, exact: true });
    const many = await group.getByRole('radio').count();
    if (await wanted.evaluate((radio) => radio === document.activeElement && !radio.checked)) {
      await this.page.keyboard.press('Space');
    }
    for (let step = 0; step <= many && !(await wanted.isChecked()); step += 1) {
      await this.page.keyboard.press('ArrowDown');
    }
    if (!(await wanted.isChecked())) {
      throw new Error(`${question}: ${option} is not chosen`);
    }
    this.count(question);
  }

  /** Tick a check box of a group. */
  async tick(question, option) {
    const box = this.page
      .getByRole('group', { name: question, exact: true })
      .getByRole('checkbox', { name: option, exact: true });
    await this.until(box, question);
    await this.page.keyboard.press('Space');
    this.count(question);
  }

  /** Type into a text box. */
  async type(question, text) {
    const box = this.page.getByRole('textbox', { name: question, exact: true }).first();
    await this.until(box, question);
    await this.page.keyboard.press('Control+A');
    await this.page.keyboard.type(text);
    this.count(question);
  }

  /** Press a button that has the keyboard's focus after Tab. */
  async press(name) {
    const button = this.page.getByRole('button', { name });
    await this.until(button, String(name));
    await this.page.keyboard.press('Enter');
    this.count(String(name));
  }

  async within(group, question) {
    await group.first().waitFor();
    for (let step = 0; step < 260; step += 1) {
      if (await group.evaluate((place) => place.contains(document.activeElement))) {
        return;
      }
      await this.page.keyboard.press('Tab');
    }
    throw new Error(`the keyboard does not reach ${question}`);
  }

  async until(control, question) {
    await control.waitFor();
    for (let step = 0; step < 260; step += 1) {
      if (await control.evaluate((place) => place === document.activeElement)) {
        return;
      }
      await this.page.keyboard.press('Tab');
    }
    throw new Error(`the keyboard does not reach ${question}`);
  }

  count(what) {
    this.interactions.push(what);
  }
}
