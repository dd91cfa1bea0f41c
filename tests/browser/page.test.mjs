// The docs page in a real browser. With FASTWS_URL it is the page of that running server,
// without it the page around `fixture.json` from a small server of its own.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const DOCS = process.env.FASTWS_DOCS ?? '/api/v1/ws/asyncapi';
const FIXTURE = new URL('fixture.json', import.meta.url);
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const MARKUP = '<img src=x onerror="window.wasRun=true"><script>window.wasRun=true</script>';

let own, browser, pageUrl, documentUrl, served, fixture;

before(async () => {
  if (!process.env.FASTWS_URL) own = await serve(FIXTURE, DOCS);
  pageUrl = new URL(DOCS, own?.url ?? process.env.FASTWS_URL).href;
  const html = await (await fetch(pageUrl)).text();
  const address = /<link rel="alternate" type="application\/json" href="([^"]+)">/.exec(html);
  assert.ok(address, `${pageUrl} names its document`);
  documentUrl = new URL(address[1], pageUrl).href;
  served = await (await fetch(documentUrl)).json();
  fixture = JSON.parse(await readFile(FIXTURE, 'utf8'));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(' '),
  });
});

after(async () => {
  await browser?.close();
  await own?.close();
});

test('every message of the document has its place on the page', async (t) => {
  const page = await open(t);
  for (const [key, message] of Object.entries(served.components.messages)) {
    const place = page.locator(id(`operation-${key}`));
    assert.equal(await place.count(), 1, `${key} stands once`);
    assert.ok((await place.textContent()).includes(key));
    if (message.summary) assert.ok((await place.textContent()).includes(message.summary.replaceAll('`', '')), `${key} has its summary`);
  }
});

test('every schema that is no frame has its place on the page', async (t) => {
  const page = await open(t);
  const frames = new Set(Object.values(served.components.messages).map((message) => message.payload?.$ref?.split('/').at(-1)));
  for (const name of Object.keys(served.components.schemas).filter((name) => !frames.has(name))) {
    assert.equal(await page.locator(id(`schema-${name}`)).count(), 1, `${name} stands once`);
  }
});

test('a reply stands inside its request', async (t) => {
  const page = await open(t);
  const pairs = Object.entries(served.components.messages).filter(([, message]) => message['x-response']);
  for (const [key, message] of pairs) {
    const reply = message['x-response'].$ref.split('/').at(-1);
    const card = page.locator(id(`operation-${key}`));
    assert.match(await card.locator(':scope > header .badge').first().textContent(), /client → server/);
    assert.ok((await card.locator('.reply').textContent()).includes(reply), `${key} holds ${reply}`);
    assert.match(await card.locator('.reply .badge').first().textContent(), /server → client/);
  }
});

test('the page speaks to its own server alone and breaks no rule', async (t) => {
  const page = await open(t);
  await openAll(page);
  await page.click('#theme');
  const origin = new URL(pageUrl).origin;
  assert.deepEqual(page.requests.filter((url) => new URL(url).origin !== origin && !url.startsWith('data:')), []);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

test('the server forbids inline scripts and styles', async (t) => {
  const { headers } = await fetch(pageUrl);
  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
});

test('every link inside the page leads somewhere', async (t) => {
  const page = await open(t);
  await openAll(page);
  const broken = await page.evaluate(() =>
    [...document.querySelectorAll('a[href^="#"]')]
      .map((link) => decodeURIComponent(link.hash.slice(1)))
      .filter((target) => !document.getElementById(target)),
  );
  assert.deepEqual(broken, []);
});

test('the links to the documents that are shown lead to documents', async (t) => {
  const page = await open(t);
  const links = await page.locator('.file:visible').evaluateAll((links) => links.map((link) => link.href));
  assert.ok(links.includes(documentUrl));
  for (const link of links) {
    assert.notEqual(link, pageUrl);
    assert.equal((await fetch(link)).status, 200, link);
  }
});

test('no two elements share an id', async (t) => {
  const page = await open(t);
  const ids = await page.evaluate(() => [...document.querySelectorAll('[id]')].map((element) => element.id));
  assert.deepEqual(ids.filter((one, i) => ids.indexOf(one) !== i), []);
});

test('the filter leaves what matches and the slash key reaches it', async (t) => {
  const page = await open(t);
  const [key] = Object.keys(served.components.messages);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
  await page.keyboard.type(key);
  const shown = page.locator('#sidebar li:visible');
  assert.ok((await shown.allTextContents()).some((text) => text.includes(key)));
  assert.equal(await page.locator('#sidebar li:visible', { hasText: 'Overview' }).count(), 0);
  await page.fill('#filter', 'no operation is called so');
  assert.equal(await shown.count(), 0);
  assert.equal(await page.locator('.nothing').textContent(), 'Nothing matches.');
  await page.press('#filter', 'Escape');
  assert.ok((await shown.count()) > 2);
});

test('a deep link opens the page at its operation and marks it in the contents', async (t) => {
  const page = await open(t);
  for (const key of Object.keys(served.components.messages)) {
    await page.goto('about:blank');
    await page.goto(`${pageUrl}#operation-${key}`);
    const place = page.locator(`${id(`operation-${key}`)}:target`);
    await inView(place);
    const card = await place.evaluate((element) => element.closest('article').id);
    await page.waitForSelector(`#sidebar a[aria-current="location"][href="#${card}"]`);
  }
});

test('a link in the contents leads to its operation', async (t) => {
  const page = await open(t);
  const link = page.locator('#sidebar a[href^="#operation-"]').last();
  const target = decodeURIComponent((await link.getAttribute('href')).slice(1));
  await link.click();
  await inView(page.locator(id(target)));
  await page.waitForSelector(`#sidebar a[aria-current="location"][href="#${target}"]`);
});

test('a narrow window has no sideways scroll, and its contents open and close', async (t) => {
  const page = await open(t, { viewport: { width: 360, height: 720 } });
  await openAll(page);
  const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= narrow, `${wide} px of content in ${narrow} px`);
  assert.equal(await page.locator('#sidebar').isVisible(), false);
  await page.click('#menu');
  assert.equal(await page.getAttribute('#menu', 'aria-expanded'), 'true');
  const [bar, filter] = [await page.locator('.bar').boundingBox(), await page.locator('#filter').boundingBox()];
  assert.ok(filter.y >= bar.y + bar.height, 'the bar leaves the filter free');
  await page.locator('#sidebar a[href^="#operation-"]').first().click();
  assert.equal(await page.locator('#sidebar').isVisible(), false);
  await page.click('#menu');
  await page.keyboard.press('Escape');
  assert.equal(await page.getAttribute('#menu', 'aria-expanded'), 'false');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'menu');
});

test('the theme follows the system until the reader chooses, and the choice stays', async (t) => {
  const page = await open(t, { colorScheme: 'dark' });
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await back();
  assert.equal(await page.getAttribute('#theme', 'aria-pressed'), 'true');
  await page.click('#theme');
  const light = await back();
  assert.notEqual(light, dark);
  assert.equal(await page.getAttribute('#theme', 'aria-pressed'), 'false');
  await page.reload();
  await page.waitForSelector('main[aria-busy="false"]');
  assert.equal(await back(), light);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`axe finds no fault in the ${colorScheme} page at ${width} px`, async (t) => {
      const page = await open(t, { colorScheme, viewport: { width, height: 800 } });
      assert.deepEqual(await faults(page), []);
      await openAll(page);
      if (width === 360) await page.click('#menu');
      assert.deepEqual(await faults(page), []);
    });
  }
}

test('axe finds no fault in the page with nested, recursive and deprecated types', async (t) => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(t, { colorScheme, document: fixture });
    await openAll(page);
    assert.deepEqual(await faults(page), []);
  }
});

test('types read as a client author says them', async (t) => {
  const page = await open(t, { document: fixture });
  const order = page.locator(id('schema-Order'));
  const row = (name) => order.locator('.field', { has: page.locator(`:scope > .field-head > .name:text-is("${name}")`) });
  const says = async (name, ...parts) => {
    const text = (await row(name).innerText()).toLowerCase();
    for (const part of parts) assert.ok(text.includes(part.toLowerCase()), `${name} says ${part}, in ${text}`);
  };
  await says('symbol', 'string', 'required', '1 to 32 characters', '^[A-Z]+[eE]?$', '"AAPL"');
  await says('side', 'Side', 'buy', 'Takes the offer.');
  await says('quantity', 'number', 'double', '> 0 and ≤ 1000000', 'multiple of 0.5');
  await says('client_note', 'string or null');
  await says('take_profit', 'Price or null', 'Closes the position');
  await says('time_in_force', 'deprecated', 'default "day"', 'gtc');
  await says('tags', 'map of string');
  await says('legs', 'array of Leg', 'at most 4 items', 'no item twice');
  await row('kind').locator('summary').click();
  // What is within is made when it is opened.
  await row('kind').getByText('Exactly one of').first().waitFor();
  await says('kind', 'Exactly one of', 'kind = "limit"');
});

test('a recursive type refers to itself and ends there', async (t) => {
  const page = await open(t, { document: fixture });
  const state = page.locator(id('schema-OrderState'));
  assert.match(await state.textContent(), /Recursive: the same fields as OrderState\./);
  assert.equal(await state.locator('details').count(), 0);
});

test('a request without payload or reply says so, and badges tell what is special', async (t) => {
  const page = await open(t, { document: fixture });
  const text = await page.locator(id('operation-orders.cancel_all')).innerText();
  assert.match(text, /no payload/i);
  assert.match(text, /Reply\s+none/);
  assert.match(text, /deprecated/);
  assert.match(text, /scope orders:admin/);
  assert.match(await page.locator(id('operation-orders.place')).innerText(), /x-rate-limit\s+10\/s/);
});

test('a topic links its request with its updates both ways', async (t) => {
  const page = await open(t, { document: fixture });
  const request = page.locator(id('operation-bars.subscribe'));
  assert.match(await request.innerText(), /bars:\{symbol\}:\{resolution\}/);
  await request.locator('.facts a', { hasText: 'bars.update' }).click();
  await inView(page.locator(id('operation-bars.update')));
  assert.equal(await page.locator(id('operation-bars.update')).locator('.facts a', { hasText: 'bars.subscribe' }).count(), 1);
});

test('the endpoint is the one the page comes from', async (t) => {
  const page = await open(t, { document: fixture });
  assert.equal(await page.locator('.endpoint code').textContent(), `ws://${new URL(pageUrl).host}/api/v1/ws`);
  const text = await page.locator('#connection').innerText();
  for (const part of ['30 seconds', '1 hour', '4103', 'heartbeat missed', 'wss://api.example.com/api/v1/ws']) assert.ok(text.includes(part), part);
});

test('a copy button copies the whole example', async (t) => {
  const page = await open(t, { document: fixture });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const figure = page.locator(id('operation-ping')).locator('figure').first();
  await figure.locator('button').click();
  await figure.locator('button', { hasText: 'Copied' }).waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), fixture.components.messages.ping.examples[0].payload);
});

test('markup in a document is shown as the text it is', async (t) => {
  const page = await open(t, { document: hostile(fixture) });
  await openAll(page);
  assert.ok((await page.locator('main').innerText()).includes(MARKUP));
  assert.equal(await page.locator('main img, main script, main iframe').count(), 0);
  assert.equal(await page.evaluate(() => window.wasRun), undefined);
  const hrefs = await page.locator('main a').evaluateAll((links) => links.map((link) => link.protocol));
  assert.deepEqual(hrefs.filter((protocol) => !['http:', 'https:', 'mailto:'].includes(protocol)), []);
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

test('types without end and references without target do not stop the page', async (t) => {
  const document = structuredClone(fixture);
  Object.assign(document.components.schemas, {
    Loop: { $ref: '#/components/schemas/Loop' },
    Whole: { allOf: [{ $ref: '#/components/schemas/Whole' }, { $ref: '#/components/schemas/Whole' }, { type: 'object' }] },
    Deep: { type: 'array', items: { $ref: '#/components/schemas/Deep' } },
    Either: { anyOf: [{ $ref: '#/components/schemas/Either' }, { type: 'null' }] },
    Far: { type: 'object', properties: { there: { $ref: 'https://example.com/schema.json' }, any: true, never: false } },
  });
  const page = await open(t, { document });
  assert.equal(await page.locator(id('schema-Far')).count(), 1);
  assert.match(await page.locator(id('schema-Far')).innerText(), /unresolved https:\/\/example\.com\/schema\.json/);
  assert.deepEqual(page.complaints, []);
});

for (const [name, answer, reason] of [
  ['a refused document', { status: 500, body: 'no' }, 'the server answered 500'],
  ['a document that is no JSON', { body: '{"asyncapi":' }, 'it is not valid JSON'],
  ['a document that is not AsyncAPI', { json: { openapi: '3.1.0' } }, 'it is not an AsyncAPI document'],
  ['a document of another version', { json: { asyncapi: '3.0.0' } }, 'of version 3.0.0'],
]) {
  test(`${name} is reported with its address and the reason`, async (t) => {
    const page = await open(t, { answer });
    const text = await page.locator('[role="alert"]').innerText();
    assert.ok(text.includes(documentUrl), text);
    assert.ok(text.includes(reason), text);
    assert.deepEqual(await faults(page), []);
  });
}

test('a second try after a failure shows the document', async (t) => {
  const page = await open(t, { answer: { status: 503 } });
  await page.unroute(documentUrl);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('#overview').waitFor();
});

test('without JavaScript the page still leads to the document', async (t) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(pageUrl);
  const href = await page.locator('noscript a').getAttribute('href');
  assert.equal(new URL(href, pageUrl).href, documentUrl);
  assert.equal(await page.locator('#sidebar').isVisible(), false);
});

/** Opens the page in a context of its own; `document` or `answer` stand in for the server's document. */
async function open(t, { document, answer = document && { json: document }, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
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
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.complaints.push(message.text()));
  if (answer) await page.route(documentUrl, (route) => route.fulfill(answer));
  await page.goto(pageUrl);
  await page.waitForSelector('main[aria-busy="false"]');
  return page;
}

/** Opens every disclosure, those inside others too, and waits for what is in them. */
async function openAll(page) {
  await page.waitForFunction(() => {
    const all = [...document.querySelectorAll('details')];
    for (const details of all) details.open = true;
    return all.every((details) => details.querySelector(':scope > .disclosed'));
  });
}

async function faults(page) {
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.html.slice(0, 120)} ${node.any[0]?.message ?? ''}`));
}

/** The same document with markup in every text that a person reads, and scripts for links. */
function hostile(document) {
  const texts = new Set(['title', 'summary', 'description', 'version']);
  const walk = (value, key) => {
    if (Array.isArray(value)) return value.map((item) => walk(item));
    if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)]));
    if (key === 'url') return 'javascript:window.wasRun=true';
    return typeof value === 'string' && texts.has(key) ? `${value} ${MARKUP} [x](javascript:window.wasRun=true)` : value;
  };
  const { servers, ...rest } = document;
  return { ...walk(rest), servers };
}

async function inView(place) {
  await place.page().waitForFunction((element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }, await place.elementHandle());
}

function id(value) {
  return `[id="${value}"]`;
}
