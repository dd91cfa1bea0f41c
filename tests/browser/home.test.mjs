// The home page of the trading API in a real browser, against the running server that FASTWS_URL names.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const url = process.env.FASTWS_URL && new URL('/', process.env.FASTWS_URL).href;
if (!url) console.log('skipped: FASTWS_URL is not set');
const options = { skip: !url };

let browser;

before(async () => {
  if (!url) return;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(' '),
  });
});

after(() => browser?.close());

test('the table fills with live prices that change', options, async (t) => {
  const page = await open(t);
  assert.equal(await page.locator('#connection').textContent(), 'Live');
  const listed = await (await fetch(new URL('api/v1/datafeed/search?query=&type=&exchange=&limit=100', url))).json();
  const symbols = await page.locator('#instruments tbody b').allTextContents();
  assert.deepEqual(symbols, listed.map(({ symbol }) => symbol));
  await page.waitForFunction(() => [...document.querySelectorAll('#instruments .last')].every((cell) => /^[\d,]+(\.\d+)?$/.test(cell.textContent)));
  const before = await prices(page);
  await page.waitForFunction((before) => [...document.querySelectorAll('#instruments .last')].some((cell, i) => cell.textContent !== before[i]), before);
});

test('the first instrument is charted without a choice', options, async (t) => {
  const page = await open(t);
  const first = await page.locator('#instruments tbody b').first().textContent();
  await charted(page, first, '1m');
  assert.equal(await page.locator('#instruments tbody button').first().getAttribute('aria-pressed'), 'true');
});

test('selecting a row draws its candles and shows the frames of that', options, async (t) => {
  const page = await open(t);
  const row = page.locator('#instruments tbody tr').nth(1);
  const symbol = await row.locator('b').textContent();
  await row.locator('.last').click();
  await charted(page, symbol, '1m');
  assert.equal(await page.locator('#chart-title').textContent(), symbol);
  assert.equal(await page.locator('#instruments [aria-pressed="true"]').count(), 1);
  await shows(page, 'sent', 'bars.unsubscribe');
  await shows(page, 'sent', `"bars.subscribe"`, `"symbol":"${symbol}"`);
  await shows(page, 'received', 'bars.subscribe.response', symbol);
  await shows(page, 'received', 'bars.update', symbol);
});

test('a row is chosen with the keyboard, and so is a resolution', options, async (t) => {
  const page = await open(t);
  const button = page.locator('#instruments tbody button').nth(2);
  const symbol = await button.locator('b').textContent();
  await button.focus();
  await page.keyboard.press('Enter');
  await charted(page, symbol, '1m');
  await page.locator('#resolutions :checked').focus();
  await page.keyboard.press('ArrowRight');
  await charted(page, symbol, '5m');
  await shows(page, 'sent', '"bars.subscribe"', '"resolution":"5"');
});

test('every resolution has candles', options, async (t) => {
  const page = await open(t);
  const symbol = await page.locator('#chart-title').textContent();
  for (const label of ['5m', '15m', '30m', '1h', '4h', '1D', '1W', '1m']) {
    await page.getByLabel(label, { exact: true }).check();
    await charted(page, symbol, label);
  }
  assert.deepEqual(page.complaints, []);
});

test('the frames stand still while they are paused', options, async (t) => {
  const page = await open(t);
  await shows(page, 'received', 'quotes.update');
  await page.click('#pause');
  const still = await page.locator('#frames').textContent();
  const before = await prices(page);
  await page.waitForFunction((before) => [...document.querySelectorAll('#instruments .last')].some((cell, i) => cell.textContent !== before[i]), before);
  const told = await page.locator('#rate').textContent();
  await page.waitForFunction((told) => document.getElementById('rate').textContent !== told, told);
  assert.equal(await page.locator('#frames').textContent(), still);
  await page.click('#pause');
  await page.waitForFunction((still) => document.getElementById('frames').textContent !== still, still);
});

test('every link leads to something', options, async (t) => {
  const page = await open(t);
  const links = await page.locator('nav a').evaluateAll((links) => links.map((link) => link.href));
  assert.equal(links.length, 5);
  for (const link of links) assert.equal((await fetch(link)).status, 200, link);
});

test('the page speaks to its own server alone, breaks no rule and logs no error', options, async (t) => {
  const page = await open(t);
  await page.locator('#instruments tbody tr').nth(1).click();
  await shows(page, 'received', 'bars.update');
  const { host } = new URL(url);
  assert.deepEqual(page.requests.filter((address) => !address.startsWith('data:') && new URL(address).host !== host), []);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`axe finds no fault in the ${colorScheme} home page at ${width} px`, options, async (t) => {
      const page = await open(t, { colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce' });
      await shows(page, 'received', 'quotes.update');
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      assert.deepEqual(violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${id}: ${html.slice(0, 120)} ${any[0]?.message ?? ''}`)), []);
    });
  }
}

test('a narrow window has no sideways scroll', options, async (t) => {
  const page = await open(t, { viewport: { width: 360, height: 740 } });
  await shows(page, 'received', 'quotes.update');
  for (const state of ['running', 'paused']) {
    const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= narrow, `${wide} px of content in ${narrow} px while ${state}`);
    const cut = await page.evaluate(() => {
      const list = document.querySelector('.scroll');
      return list.scrollWidth - list.clientWidth;
    });
    assert.ok(cut <= 0, `the table is ${cut} px too wide`);
    await page.click('#pause');
  }
});

/** Opens the page in a context of its own and waits for its first candles. */
async function open(t, contextOptions = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...contextOptions });
  t.after(() => context.close());
  context.setDefaultTimeout(10_000);
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await context.addInitScript({ path: AXE });
  const page = await context.newPage();
  page.requests = [];
  page.complaints = [];
  page.on('request', (request) => page.requests.push(request.url()));
  page.on('websocket', (socket) => page.requests.push(socket.url()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.complaints.push(message.text()));
  await page.goto(url);
  await page.waitForSelector('#connection.live');
  await page.waitForSelector('#plot path.candles');
  return page;
}

function prices(page) {
  return page.locator('#instruments .last').allTextContents();
}

/** Waits for a chart of at least one candle with this symbol and resolution. */
function charted(page, symbol, resolution) {
  return page.waitForFunction(([symbol, resolution]) => {
    const chart = document.querySelector('#plot svg');
    const [, name, count, of] = /^(.+): (\d+) candles of (\w+)$/.exec(chart.getAttribute('aria-label')) ?? [];
    return name === symbol && of === resolution && count > 0 && [...chart.querySelectorAll('path.candles')].some((path) => path.getAttribute('d'));
  }, [symbol, resolution]);
}

/** Waits for a frame with all of these texts in the panel. */
function shows(page, way, ...texts) {
  return page.waitForFunction(([way, texts]) =>
    [...document.querySelectorAll(`#frames .${way}`)].some((frame) => texts.every((text) => frame.textContent.includes(text))), [way, texts]);
}
