// The live console in a real browser, against trading APIs that this file starts and stops: FASTWS_PROGRAM is the program.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const program = process.env.FASTWS_PROGRAM;
const DOCS = process.env.FASTWS_DOCS ?? '/api/v1/ws/asyncapi';
const FIXTURE = new URL('fixture.json', import.meta.url);
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
if (!program) console.log('skipped: FASTWS_PROGRAM is not set');
const options = { skip: !program };

let server, browser, fixture;

before(async () => {
  if (!program) return;
  server = await start();
  fixture = JSON.parse(await readFile(FIXTURE, 'utf8'));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(' '),
  });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('it connects and says so, and disconnects', options, async (t) => {
  const page = await open(t);
  await page.click('#console-toggle');
  assert.equal(await page.inputValue('#try-url'), `ws://${new URL(server.url).host}/api/v1/ws`);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await state(page, 'Connected');
  await page.locator('.connection-told', { hasText: /for 0:\d\d · round trip [\d.]+ ms/ }).waitFor();
  assert.equal(await page.locator('#status').textContent(), 'Connected');
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await state(page, 'Not connected');
  await page.locator('.note-line', { hasText: 'Disconnected' }).waitFor();
});

test('bars are subscribed to through the form, and their updates come', options, async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: 'Try it: bars.subscribe' }).click();
  await page.getByLabel('symbol', { exact: true }).fill('MSFT');
  await page.getByLabel('resolution', { exact: true }).selectOption('5');
  await page.getByRole('button', { name: 'Connect and subscribe' }).click();
  const row = page.locator('.subscriptions li', { hasText: 'bars:MSFT:5' });
  await row.waitFor();
  await page.waitForFunction(() => Number.parseInt(document.querySelector('.subscriptions .updates')?.textContent ?? '0', 10) >= 3);
  await frame(page, '↑', 'bars.subscribe', '"symbol":"MSFT","resolution":"5"').waitFor();
  await frame(page, '↓', 'bars.subscribe.response').waitFor();
  await frame(page, '↓', 'bars.update', 'bars:MSFT:5', 'snapshot').first().waitFor();
  const update = frame(page, '↓', 'bars.update', 'bars:MSFT:5').first();
  await update.locator('button').click();
  const shown = JSON.parse(await update.locator('pre').textContent());
  assert.deepEqual([shown.type, shown.topic, typeof shown.payload.close], ['bars.update', 'bars:MSFT:5', 'number']);
});

test('the button on a card subscribes at once', options, async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: 'Subscribe: the example of quotes.subscribe' }).click();
  for (const topic of ['quotes:AAPL', 'quotes:MSFT']) await page.locator('.subscriptions .topic', { hasText: topic }).waitFor();
  await frame(page, '↓', 'quotes.update', 'quotes:AAPL').first().waitFor();
});

test('a reply is paired with its request, and its latency told', options, async (t) => {
  const page = await open(t, { hash: '#try-ping' });
  await page.getByRole('button', { name: 'Connect and send' }).click();
  const newest = page.locator('.requests li').first();
  await newest.locator('.request-state', { hasText: /^answered in [\d.]+ ms$/ }).waitFor();
  const reply = JSON.parse(await newest.locator('pre').textContent());
  assert.equal(reply.type, 'pong');
  assert.equal(await newest.locator('.request').innerText().then((text) => /id (\S+)/.exec(text)[1]), reply.id);
  await frame(page, '↓', 'pong', 'ms').waitFor();
  assert.match(await page.locator('#status').textContent(), /^ping: answered in/);
});

test('a bad payload is not sent, and its field is named', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await connect(page);
  const symbol = page.getByLabel('symbol', { exact: true });
  await symbol.fill('');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  const field = page.locator('.form-field[data-path="/symbol"]');
  assert.equal(await field.locator('.fault').textContent(), 'must have at least 1 character, not 0');
  assert.equal(await symbol.getAttribute('aria-invalid'), 'true');
  assert.ok((await symbol.getAttribute('aria-describedby')).includes(await field.locator('.fault').getAttribute('id')));
  assert.ok(await symbol.evaluate((input) => input === document.activeElement), 'the field has the focus');
  assert.match(await page.locator('.faults').innerText(), /One problem, found before sending\s+\/symbol must have/);
  assert.match(await page.locator('#status').textContent(), /^Not sent. \/symbol must have/);
  assert.equal(await page.locator('.frame.send').count(), 0);
  // The fault goes as soon as it is mended.
  await symbol.fill('AAPL');
  assert.equal(await page.locator('.faults').isVisible(), false);
  assert.equal(await symbol.getAttribute('aria-invalid'), null);
});

test('a bad payload can be sent anyway, and what the server says stands at the field', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await connect(page);
  await page.getByLabel('symbol', { exact: true }).fill('');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('button', { name: 'Send anyway' }).click();
  await page.locator('.form-field[data-path="/symbol"] .fault', { hasText: /server: / }).waitFor();
  await page.locator('.request-state', { hasText: /^invalid_payload after [\d.]+ ms$/ }).waitFor();
  await frame(page, '↓', 'error').waitFor();
  await state(page, 'Connected');
});

test('what only the server knows to be wrong stands at the field as well', options, async (t) => {
  const page = await open(t, { hash: '#try-multi_subscribe' });
  await connect(page);
  await page.getByLabel('symbols[1]', { exact: true }).fill('NOSUCH');
  await page.keyboard.press('Control+Enter');
  await frame(page, '↑', 'multi_subscribe').waitFor();
  await page.locator('.form-field[data-path="/symbols/1"] > .fault', { hasText: /^server: .*NOSUCH/ }).waitFor();
  assert.match(await page.locator('.faults').innerText(), /The server refused it\s+\/symbols\/1/);
});

test('the check agrees with the server on examples and on mistakes', options, async (t) => {
  const page = await open(t);
  const results = await page.evaluate(async (docs) => {
    const [{ readDocument }, { validate }] = await Promise.all([import(`${docs}/document.js`), import(`${docs}/validate.js`)]);
    const model = readDocument(await (await fetch(`${docs}.json`)).json(), location);
    const socket = new WebSocket(model.channels[0].hereUrl);
    await new Promise((opened) => socket.addEventListener('open', opened));
    const ask = (frame) => new Promise((answered) => {
      const hear = ({ data }) => {
        const reply = JSON.parse(data);
        if (reply.id !== frame.id) return;
        socket.removeEventListener('message', hear);
        answered(reply);
      };
      socket.addEventListener('message', hear);
      socket.send(JSON.stringify(frame));
    });
    const sends = model.operations.filter(({ direction }) => direction === 'send').map(({ message }) => message);
    const named = (key) => sends.find((message) => message.key === key);
    const cases = [
      ...sends.flatMap((message) => message.examples.map(({ payload }) => [message, payload.payload])),
      ...[{}, { symbol: '' }, { symbol: 'A'.repeat(33) }, { symbol: 7 }, { symbol: 'AAPL', resolution: '2' }, { symbol: 'AAPL', params: { resolution: 5 } }, { symbol: 'AAPL', resolution: null, more: true }].map((payload) => [named('bars.subscribe'), payload]),
    ];
    const told = [];
    for (const [i, [message, payload]] of cases.entries()) {
      const frame = { type: message.key, id: `case-${i}`, ...(payload !== undefined && { payload }) };
      const reply = await ask(frame);
      told.push({ frame, ours: validate(model.resolve, message.frame, frame).map(({ path }) => path), code: reply.payload.code ?? 'ok', theirs: (reply.payload.details ?? []).map(({ path }) => path) });
      // Ten mistakes within ten seconds would end the connection; there are fewer here.
    }
    socket.close();
    return told;
  }, DOCS);
  assert.ok(results.length >= 20);
  for (const { frame, ours, code, theirs } of results) {
    const said = `${JSON.stringify(frame)}: ours ${ours}, the server’s ${code} ${theirs}`;
    assert.equal(ours.length > 0, code === 'invalid_payload', said);
    // Where the server names a place, ours is that place or within it.
    for (const path of theirs) assert.ok(ours.some((own) => own.replace('/payload', '').startsWith(path)), said);
  }
});

test('the form and the JSON stay in step, and what is not JSON is pointed at', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await page.getByLabel('symbol', { exact: true }).fill('TSLA');
  await page.getByRole('tab', { name: 'JSON' }).click();
  const area = page.getByLabel('Payload, as JSON');
  assert.deepEqual(JSON.parse(await area.inputValue()), { symbol: 'TSLA', resolution: '1' });
  await area.fill('{\n  "symbol": "AMZN",\n}');
  assert.match(await page.locator('.faults').innerText(), /Not JSON at line 2, column 19: a comma too many/);
  await page.getByRole('tab', { name: 'Form' }).click();
  assert.equal(await page.getByRole('tab', { name: 'JSON' }).getAttribute('aria-selected'), 'true');
  assert.deepEqual(await area.evaluate(({ selectionStart, value }) => value[selectionStart]), ',');
  await area.fill('{"symbol": "AMZN", "params": {"resolution": "5"}, "mine": 1}');
  await page.getByRole('tab', { name: 'Form' }).click();
  assert.equal(await page.getByLabel('symbol', { exact: true }).inputValue(), 'AMZN');
  await page.getByRole('tab', { name: 'Raw' }).click();
  const frame = JSON.parse(await page.getByLabel('Frame, sent as it is').inputValue());
  assert.deepEqual(frame.payload, { symbol: 'AMZN', params: { resolution: '5' }, mine: 1 });
});

test('the feed is filtered by type, topic and text', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  await subscribe(page, 'MSFT');
  const types = () => page.locator('.frame-type').allTextContents();
  await frame(page, '↓', 'bars.update', 'bars:AAPL:1').first().waitFor();
  await frame(page, '↓', 'bars.update', 'bars:MSFT:1').first().waitFor();
  await page.getByLabel('Show one type').selectOption('bars.subscribe.response');
  assert.deepEqual(await types(), ['bars.subscribe.response', 'bars.subscribe.response']);
  await page.getByLabel('Show one type').selectOption('');
  await page.getByLabel('Show one topic').selectOption('bars:MSFT:1');
  assert.deepEqual([...new Set(await page.locator('.frame-topic').allTextContents())], ['bars:MSFT:1']);
  await page.getByLabel('Show one topic').selectOption('');
  await page.getByLabel('Show frames with this text').fill('Subscribed to BARS:aapl');
  assert.deepEqual(await types(), ['bars.subscribe.response']);
  await page.getByLabel('Show frames with this text').fill('');
  assert.ok((await types()).length > 4);
});

test('the feed stands still while it is paused, and counts what comes', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  await page.getByRole('button', { name: 'Pause' }).click();
  const still = await page.locator('.frames > li').count();
  await page.locator('.feed-told', { hasText: /[2-9] held back/ }).waitFor();
  assert.equal(await page.locator('.frames > li').count(), still);
  await page.getByRole('button', { name: 'Resume' }).click();
  assert.ok((await page.locator('.frames > li').count()) >= still + 2);
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  assert.ok((await page.locator('.frame.send').count()) === 0);
});

test('a flood of frames is bounded, and what is not shown is counted', options, async (t) => {
  const page = await open(t);
  const { shown, told, lasted } = await page.evaluate(async (docs) => {
    const { Feed } = await import(`${docs}/feed.js`);
    const feed = new Feed();
    document.body.append(feed.node);
    const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const began = performance.now();
    for (let i = 0; i < 20_000; i += 1) {
      const text = `{"type":"bars.update","topic":"bars:S${i % 9}:1","payload":{"n":${i}}}`;
      feed.add({ way: 'received', text, frame: JSON.parse(text) });
      if (i % 400 === 399) await painted();
    }
    const lasted = performance.now() - began;
    await painted();
    return { shown: feed.node.querySelectorAll('.frame').length, told: feed.node.querySelector('.feed-told').textContent, lasted };
  }, DOCS);
  assert.equal(shown, 1000);
  const [, dropped] = /^1,000 shown · ([\d,]+) not shown: too fast$/.exec(told);
  assert.ok(Number(dropped.replaceAll(',', '')) > 10_000, told);
  assert.ok(lasted < 20_000, `${lasted} ms for 20,000 frames`);
});

test('a subscription is ended, and no frame of it follows', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  await page.getByRole('button', { name: 'Unsubscribe from bars:AAPL:1' }).click();
  await frame(page, '↓', 'bars.unsubscribe.response').waitFor();
  await page.locator('.subscriptions').waitFor({ state: 'hidden' });
  // A later reply proves that nothing else was on its way.
  await page.locator('#try-operation').selectOption('list_subscriptions');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await frame(page, '↓', 'subscriptions', '"count":0').waitFor();
  const types = await page.locator('.frame-type').allTextContents();
  assert.ok(!types.slice(types.lastIndexOf('bars.unsubscribe.response')).includes('bars.update'), types.join());
});

test('a subscription to several topics ends with all of them', options, async (t) => {
  const page = await open(t, { hash: '#try-multi_subscribe' });
  await page.getByRole('button', { name: 'Connect and subscribe' }).click();
  await page.locator('.subscriptions .topic').nth(1).waitFor();
  assert.deepEqual(await page.locator('.subscriptions .topic').allTextContents(), ['bars:AAPL:5', 'bars:GOOGL:5']);
  await page.getByRole('button', { name: 'Unsubscribe from bars:AAPL:5, bars:GOOGL:5' }).click();
  await page.locator('.subscriptions').waitFor({ state: 'hidden' });
  assert.equal(await frame(page, '↓', 'error').count(), 0);
});

test('after the server has died and is back, so are the connection and its subscriptions', options, async (t) => {
  const own = await start();
  t.after(() => own.stop());
  const page = await open(t, { url: own.url, hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  await own.stop('SIGKILL');
  await state(page, 'Reconnecting');
  assert.match(await page.locator('.ending').innerText(), /1006 The connection broke without a goodbye[\s\S]*connects again by itself/);
  await page.locator('.countdown', { hasText: /^Connecting again in \d+ s$/ }).waitFor();
  await page.locator('.subscriptions li.interrupted').waitFor();
  assert.match(await page.locator('#status').textContent(), /^Reconnecting\. 1006: /);
  const again = await start(new URL(own.url).port);
  t.after(() => again.stop());
  await page.getByRole('button', { name: 'Now' }).click();
  await state(page, 'Connected');
  await page.locator('.note-line.good', { hasText: 'Connected. Making the subscription again.' }).waitFor();
  await page.locator('.subscriptions li.active', { hasText: 'bars:AAPL:1' }).waitFor();
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll('.frames > li')].map((row) => row.textContent);
    return rows.findLastIndex((text) => text.includes('bars.update')) > rows.findLastIndex((text) => text.includes('Making the subscription again'));
  });
  assert.equal(await page.locator('.ending').isVisible(), false);
});

test('a server that stops in order says so, and is awaited', options, async (t) => {
  const own = await start();
  t.after(() => own.stop());
  const page = await open(t, { url: own.url, hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  own.stop('SIGTERM');
  await state(page, 'Reconnecting');
  assert.match(await page.locator('.ending').innerText(), /^1001 [\s\S]*The server said: [\s\S]*connects again by itself/);
  await page.getByRole('button', { name: 'Stop' }).click();
  await state(page, 'Not connected');
});

test('a close code is explained, and the console does not come back by itself', options, async (t) => {
  const page = await open(t, { hash: '#try-ping' });
  await connect(page);
  await page.getByRole('tab', { name: 'Raw' }).click();
  await page.getByLabel('Frame, sent as it is').fill('this is no frame');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await state(page, 'Closed');
  const text = await page.locator('.ending').innerText();
  const { channels } = await (await fetch(`${server.url}${DOCS}.json`)).json();
  const documented = Object.values(channels)[0]['x-close-codes']['1003'].replaceAll('`', '');
  assert.ok(text.includes(`1003 ${documented}`), text);
  assert.match(text, /The server said: .?Could not decode message/);
  assert.match(text, /Mend the frame sent last/);
  await page.locator('.note-line.bad', { hasText: 'Closed. 1003' }).waitFor();
  assert.equal(await page.locator('.countdown').isVisible(), false);
});

test('a server that is not there is told at once', options, async (t) => {
  const own = await start();
  const page = await open(t, { url: own.url, hash: '#try-ping' });
  await own.stop('SIGKILL');
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await state(page, 'Closed');
  assert.match(await page.locator('.ending').innerText(), /The connection was not made/);
});

test('another host is refused with the reason', options, async (t) => {
  const page = await open(t, { hash: '#try-ping' });
  for (const [address, reason] of [
    ['wss://api.example.com/ws', /its own server alone, 127\.0\.0\.1:\d+: its content security policy forbids/],
    ['http://localhost/', /begins with ws:\/\//],
    ['nowhere', /not an address/],
  ]) {
    await page.fill('#try-url', address);
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    assert.match(await page.locator('#try-url-fault').textContent(), reason);
    assert.equal(await page.getAttribute('#try-url', 'aria-invalid'), 'true');
  }
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

test('a request is copied in each form', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = async (name) => {
    await page.getByRole('button', { name: `Copy as ${name}` }).click();
    await page.getByRole('button', { name: `Copied as ${name}` }).waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  await page.getByLabel('symbol', { exact: true }).fill(`it's`);
  const json = JSON.parse(await copied('JSON'));
  assert.deepEqual(json, { type: 'bars.subscribe', id: '1', payload: { symbol: `it's`, resolution: '1' } });
  const line = await copied('websocat');
  const told = execFileSync('sh', ['-c', `websocat() { cat; printf '%s\\n' "$@"; }\n${line}`], { encoding: 'utf8' }).trimEnd().split('\n');
  assert.deepEqual(JSON.parse(told[0]), json);
  assert.deepEqual(told.slice(1), ['-n', `ws://${new URL(server.url).host}/api/v1/ws`]);
  assert.match(await copied('TypeScript'), /await api\.bars\.subscribe\(\{ symbol: "it's", resolution: "1" \}\);/);
  const python = await copied('Python');
  assert.match(python, /await api\.bars\.subscribe\(\{"symbol": "it's", "resolution": "1"\}\)/);
});

test('a token goes to the server and nowhere else', options, async (t) => {
  const secret = 'very-secret-7';
  const page = await open(t, { hash: '#try-ping', document: fixture });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.fill('#try-token', secret);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await state(page, 'Connected');
  assert.deepEqual(await page.evaluate(() => window.sockets), [[`ws://${new URL(server.url).host}/api/v1/ws?token=${secret}`, []]]);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await frame(page, '↓', 'pong').waitFor();
  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, document.cookie]));
  for (const text of [await page.locator('body').innerText(), storage, await page.inputValue('#try-url')]) assert.ok(!text.includes(secret));
  for (const name of ['websocat', 'TypeScript', 'Python']) {
    await page.getByRole('button', { name: `Copy as ${name}` }).click();
    await page.getByRole('button', { name: `Copied as ${name}` }).waitFor();
    const code = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(code.includes('<token>') && !code.includes(secret), code);
  }
});

test('without a query parameter for it, a token travels as a subprotocol', options, async (t) => {
  const page = await open(t, { hash: '#try-ping' });
  await page.locator('.connector summary').click();
  await page.fill('#try-token', 'abc');
  await page.evaluate(() => {
    // This server has no authentication, and a browser fails a connection whose subprotocol is not chosen.
    window.WebSocket = class extends EventTarget {
      constructor(...given) {
        super();
        window.sockets.push(given);
      }
      close() {}
    };
  });
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  assert.deepEqual((await page.evaluate(() => window.sockets)).at(-1), [`ws://${new URL(server.url).host}/api/v1/ws`, ['fastws.v1', 'bearer.abc']]);
});

test('a form is made for every kind of schema', options, async (t) => {
  const page = await open(t, { hash: '#try-orders.place', document: fixture });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const value = async () => {
    await page.getByRole('button', { name: /^Cop(y|ied) as JSON$/ }).click();
    await page.getByRole('button', { name: 'Copied as JSON' }).waitFor();
    return JSON.parse(await page.evaluate(() => navigator.clipboard.readText())).payload;
  };
  const field = (path) => page.locator(`.form-field[data-path="${path}"]`);
  await page.getByLabel('symbol', { exact: true }).first().fill('AAPL');
  await page.getByLabel('side', { exact: true }).selectOption('sell');
  await page.getByLabel('kind: variant').selectOption('Limit');
  await page.getByLabel('price', { exact: true }).first().fill('189.5');
  await page.getByLabel('quantity', { exact: true }).fill('2.5');
  await page.getByLabel('client_note: present').selectOption('null');
  await page.getByLabel('take_profit: present').selectOption('value');
  await page.getByLabel('amount', { exact: true }).fill('200');
  await page.getByLabel('tags: present').selectOption('value');
  await field('/tags').getByRole('button', { name: 'Add field' }).click();
  await field('/tags').getByLabel('Name of the field').fill('desk');
  await field('/tags/desk').locator('.field-value input').fill('7');
  await page.getByLabel('legs: present').selectOption('value');
  await field('/legs').getByRole('button', { name: 'Add item' }).click();
  await field('/legs').getByRole('button', { name: 'Add item' }).click();
  await field('/legs/0').getByLabel('symbol', { exact: true }).fill('GOOGL');
  await field('/legs/1').getByLabel('symbol', { exact: true }).fill('MSFT');
  const expected = {
    symbol: 'AAPL', side: 'sell', kind: { kind: 'limit', price: 189.5 }, quantity: 2.5, client_note: null,
    take_profit: { amount: 200 }, tags: { desk: '7' }, legs: [{ symbol: 'GOOGL' }, { symbol: 'MSFT' }],
  };
  const { time_in_force, ...rest } = await value();
  assert.deepEqual(rest, expected);
  await field('/legs').getByRole('button', { name: 'Remove legs[0]' }).click();
  assert.deepEqual((await value()).legs, [{ symbol: 'MSFT' }]);
  await page.getByLabel('quantity', { exact: true }).fill('much');
  assert.equal((await value()).quantity, 'much');
  await page.keyboard.press('Control+Enter');
  assert.equal(await field('/quantity').locator(':scope > .fault').textContent(), 'must be a number, not a string');
  assert.deepEqual(await faults(page), []);
});

test('a deep link opens an operation in the console, and Escape closes it', options, async (t) => {
  const page = await open(t, { hash: '#try-quotes.subscribe' });
  assert.equal(await page.inputValue('#try-operation'), 'quotes.subscribe');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'console-name');
  await page.waitForFunction(() => document.getElementById('operation-quotes.subscribe').getBoundingClientRect().top < innerHeight);
  await page.locator('#try-operation').selectOption('info');
  assert.equal(new URL(page.url()).hash, '#try-info');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#console').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'console-toggle');
  assert.equal(new URL(page.url()).hash, '#operation-info');
});

test('connecting and sending need no mouse', options, async (t) => {
  const page = await open(t);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const tabTo = async (wanted) => {
    for (let step = 0; step < 200; step += 1) {
      await page.keyboard.press('Tab');
      if (wanted.test(await focused())) return;
    }
    assert.fail(`no way to ${wanted} by the tab key`);
  };
  await tabTo(/^Try it: bars\.subscribe$/);
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'Console');
  await tabTo(/^Connect$/);
  await page.keyboard.press('Enter');
  await state(page, 'Connected');
  await tabTo(/^Form$/);
  await page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'JSON');
  await page.keyboard.press('ArrowLeft');
  await tabTo(/^Subscribe$/);
  await page.keyboard.press('Enter');
  await frame(page, '↓', 'bars.update').first().waitFor();
  await tabTo(/^Pause$/);
  await page.keyboard.press('Space');
  await tabTo(/bars\.update/);
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-expanded')), 'true');
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'Try it: bars.subscribe');
});

test('the parts of the console are resized with the keyboard and with the mouse', options, async (t) => {
  const page = await open(t, { hash: '#try-ping' });
  const size = async (selector) => page.locator(selector).boundingBox();
  const [feed, panel] = [await size('.feed'), await size('#console')];
  await page.getByRole('separator', { name: 'Height of the feed' }).focus();
  await page.keyboard.press('ArrowUp');
  assert.equal(Math.round((await size('.feed')).height), Math.round(feed.height) + 24);
  const bar = page.getByRole('separator', { name: 'Width of the console' });
  const before = await bar.getAttribute('aria-valuenow');
  await page.mouse.move(panel.x, 300);
  await page.mouse.down();
  await page.mouse.move(panel.x - 100, 300, { steps: 3 });
  await page.mouse.up();
  assert.ok(Math.abs((await size('#console')).width - panel.width - 100) <= 2);
  assert.ok(Number(await bar.getAttribute('aria-valuenow')) > 0 && before !== null);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

test('on a phone the console covers the page without sideways scroll', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe', viewport: { width: 360, height: 740 } });
  await subscribe(page, 'AAPL');
  const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= narrow, `${wide} px of content in ${narrow} px`);
  const inner = await page.evaluate(() => [...document.querySelectorAll('.console-body, .console-work, .feed-scroll')].map((node) => node.scrollWidth - node.clientWidth));
  assert.deepEqual(inner.filter((excess) => excess > 0), []);
  assert.equal(await page.evaluate(() => document.getElementById('content').inert), true);
  const { width } = await page.locator('#console').boundingBox();
  assert.equal(width, 360);
  await page.getByRole('button', { name: 'Close the console' }).click();
  assert.equal(await page.evaluate(() => document.getElementById('content').inert), false);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1440, 1000, 360]) {
    test(`axe finds no fault in the ${colorScheme} console at ${width} px`, options, async (t) => {
      const page = await open(t, { hash: '#try-bars.subscribe', colorScheme, viewport: { width, height: 900 } });
      assert.deepEqual(await faults(page), []);
      await subscribe(page, 'AAPL');
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.locator('.frame-line').last().click();
      await page.getByLabel('symbol', { exact: true }).fill('');
      await page.keyboard.press('Control+Enter');
      await page.getByRole('button', { name: 'Send anyway' }).click();
      await page.locator('.fault', { hasText: 'server: ' }).waitFor();
      assert.deepEqual(await faults(page), []);
      await page.getByRole('tab', { name: 'Raw' }).click();
      await page.getByLabel('Frame, sent as it is').fill('{}');
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await state(page, 'Closed');
      assert.deepEqual(await faults(page), []);
    });
  }
}

test('the console speaks to its own server alone, breaks no rule and logs no error', options, async (t) => {
  const page = await open(t, { hash: '#try-bars.subscribe' });
  await subscribe(page, 'AAPL');
  await page.getByRole('tab', { name: 'JSON' }).click();
  await page.getByRole('tab', { name: 'Raw' }).click();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.click('#theme');
  const { host } = new URL(server.url);
  assert.deepEqual(page.requests.filter((address) => !address.startsWith('data:') && new URL(address).host !== host), []);
  assert.ok(page.requests.some((address) => address.startsWith('ws:')));
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

/** Starts the program, on a free port unless one is given, and waits until it listens. */
async function start(port = 0) {
  const child = spawn(program, ['--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  const url = await new Promise((found, failed) => {
    let told = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      told += text;
      // The line comes in pieces; it is whole when it ends.
      const address = /http:\/\/[\d.:]+(?=\s)/.exec(told);
      if (address) found(address[0]);
    });
    child.once('error', failed);
    ended.then(() => failed(new Error(`the program ended: ${told}`)));
  });
  const stop = (signal = 'SIGKILL') => {
    child.kill(signal);
    return ended;
  };
  return { url, stop };
}

/** Opens the page in a context of its own; `document` stands in for the server's. */
async function open(t, { url = server.url, hash = '', document, ...contextOptions } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...contextOptions });
  t.after(() => context.close());
  context.setDefaultTimeout(10_000);
  await context.addInitScript(() => {
    window.violations = [];
    globalThis.document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    window.sockets = [];
    const Native = window.WebSocket;
    window.WebSocket = class extends Native {
      constructor(address, protocols) {
        super(address, protocols);
        window.sockets.push([address, protocols]);
      }
    };
  });
  await context.addInitScript({ path: AXE });
  const page = await context.newPage();
  page.requests = [];
  page.complaints = [];
  page.on('request', (request) => page.requests.push(request.url()));
  page.on('websocket', (socket) => page.requests.push(socket.url()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.complaints.push(message.text()));
  if (document) await page.route(`**${DOCS}.json`, (route) => route.fulfill({ json: document }));
  await page.goto(`${url}${DOCS}${hash}`);
  await page.waitForSelector('main[aria-busy="false"]');
  return page;
}

async function connect(page) {
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await state(page, 'Connected');
}

/** Subscribes to a symbol's bars with the operation that is open, and waits for the first. */
async function subscribe(page, symbol) {
  await page.getByLabel('symbol', { exact: true }).fill(symbol);
  await page.locator('.actions .primary').click();
  await frame(page, '↓', 'bars.update', `bars:${symbol}:1`).first().waitFor();
}

function state(page, text) {
  return page.locator('.console-head .state', { hasText: new RegExp(`^${text}$`) }).waitFor();
}

/** The rows of the feed with all of these texts; the type is the whole type. */
function frame(page, arrow, type, ...texts) {
  const rows = page.locator('.frames .frame', { hasText: arrow, has: page.locator(`.frame-type:text-is("${type}")`) });
  return texts.reduce((found, text) => found.filter({ hasText: text }), rows);
}

async function faults(page) {
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ''}`));
}
