// The page's parts that need no browser: the check of a payload, JSON's faults, the copied forms, close codes, back-off, size.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { explainClose } from '../../fastws-asyncapi/assets/closing.js';
import { readDocument } from '../../fastws-asyncapi/assets/document.js';
import { jsonFault } from '../../fastws-asyncapi/assets/json-fault.js';
import { camelCase, snakeCase, snippet } from '../../fastws-asyncapi/assets/snippets.js';
import { Session } from '../../fastws-asyncapi/assets/session.js';
import { backOff } from '../../fastws-asyncapi/assets/socket.js';
import { validate } from '../../fastws-asyncapi/assets/validate.js';

const ASSETS = new URL('../../fastws-asyncapi/assets/', import.meta.url);
const fixture = JSON.parse(await readFile(new URL('fixture.json', import.meta.url), 'utf8'));
const { resolve } = readDocument(fixture, new URL('http://localhost:8000/docs'));

/** Each case: a schema, the values it takes, and the values it refuses with `path: message`. */
for (const [name, schema, good, bad] of [
  ['a type', { type: 'integer' }, [0, -1, 1e3], [[1.5, ': must be an integer, not 1.5'], ['1', ': must be an integer, not a string'], [null, ': must be an integer, not null']]],
  ['one of several types', { type: ['string', 'null'] }, ['', null], [[1, ': must be a string or null, not 1']]],
  ['a constant', { const: { a: [1, 2], b: null } }, [{ b: null, a: [1, 2] }], [[{ a: [2, 1], b: null }, ': must be {"a":[1,2],"b":null}']]],
  ['an enum', { enum: ['1', 'D'] }, ['D'], [['2', ': must be one of "1", "D"'], [1, ': must be one of "1", "D"']]],
  ['a range', { type: 'number', exclusiveMinimum: 0, maximum: 10, multipleOf: 0.1 }, [0.3, 10], [[0, ': must be more than 0'], [10.1, ': must be at most 10'], [0.25, ': must be a multiple of 0.1']]],
  ['the width of an integer', { type: 'integer', format: 'uint8' }, [0, 255], [[256, ': must be at most 255'], [-1, ': must be at least 0']]],
  ['a length in characters', { type: 'string', minLength: 1, maxLength: 2 }, ['a', '😀😀'], [['', ': must have at least 1 character, not 0'], ['abc', ': must have at most 2 characters, not 3']]],
  ['a pattern', { pattern: '^[A-Z]+$' }, ['AAPL', 7], [['aapl', ': must match ^[A-Z]+$']]],
  ['a pattern that this browser cannot read', { pattern: '(?i-u)[' }, ['anything'], []],
  ['a time', { type: 'string', format: 'date-time' }, ['2024-01-02T03:04:05Z'], [['yesterday', ': must be a date-time']]],
  ['items', { items: { type: 'string' }, minItems: 1, maxItems: 2, uniqueItems: true }, [['a'], ['a', 'b']], [[[], ': must have at least 1 item, not 0'], [['a', 1], '/1: must be a string, not 1'], [['a', 'a'], ': must not have an item twice'], [['a', 'b', 'c'], ': must have at most 2 items, not 3']]],
  ['a tuple', { items: [{ type: 'number' }, { type: 'string' }], additionalItems: false }, [[1, 'a'], [1]], [[[1, 2], '/1: must be a string, not 2'], [[1, 'a', 0], '/2: must be left out']]],
  ['what an array contains', { contains: { const: 1 } }, [[0, 1]], [[[0], ': lacks an item that it must have']]],
  ['fields', { properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false }, [{ a: '' }], [[{}, '/a: is required'], [{ a: 1 }, '/a: must be a string, not 1'], [{ a: '', 'b/~': 1 }, '/b~1~0: is not a field here']]],
  ['fields by pattern', { patternProperties: { '^x': { type: 'integer' } }, additionalProperties: { type: 'string' } }, [{ x1: 1, y: '' }], [[{ x1: '' }, '/x1: must be an integer, not a string'], [{ y: 1 }, '/y: must be a string, not 1']]],
  ['names and numbers of fields', { propertyNames: { maxLength: 1 }, minProperties: 1, maxProperties: 2 }, [{ a: 1 }], [[{}, ': must have at least 1 field'], [{ ab: 1 }, '/ab: must have at most 1 character, not 2']]],
  ['fields that need each other', { dependencies: { a: ['b'] } }, [{}, { a: 1, b: 1 }], [[{ a: 1 }, '/b: is required beside a']]],
  ['all of several', { allOf: [{ minLength: 1 }, { maxLength: 2 }] }, ['a'], [['abc', ': must have at most 2 characters, not 3']]],
  ['a value or null', { anyOf: [{ type: 'string', minLength: 1 }, { type: 'null' }] }, [null, 'a'], [['', ': must have at least 1 character, not 0']]],
  ['any of several', { anyOf: [{ type: 'string' }, { type: 'integer' }] }, ['', 1], [[true, ': must be a string, not a boolean, or must be an integer, not a boolean']]],
  ['exactly one', { oneOf: [{ minimum: 1 }, { maximum: 2 }] }, [0, 3], [[1.5, ': must match exactly one variant, not 2']]],
  ['a variant told by its constant', { oneOf: ['market', 'limit'].map((kind) => ({ type: 'object', properties: { kind: { const: kind }, price: { type: 'number' } }, required: kind === 'limit' ? ['kind', 'price'] : ['kind'] })) }, [{ kind: 'market' }, { kind: 'limit', price: 1 }], [[{ kind: 'limit' }, '/price: is required'], [{ kind: 'stop' }, '/kind: must be one of "market", "limit"']]],
  ['what is ruled out', { not: { const: 1 } }, [2], [[1, ': is a value that is ruled out']]],
  ['a condition', { if: { required: ['a'] }, then: { required: ['b'] }, else: { required: ['c'] } }, [{ a: 1, b: 1 }, { c: 1 }], [[{ a: 1 }, '/b: is required'], [{}, '/c: is required']]],
  ['true and false', { properties: { any: true, never: false } }, [{ any: 1 }], [[{ never: 1 }, '/never: must be left out']]],
  ['a reference', { $ref: '#/components/schemas/Order' }, [{ symbol: 'AAPL', side: 'buy', kind: { kind: 'limit', price: 1 }, quantity: 1.5 }], [[{ symbol: 'AAPL', side: 'hold', kind: { kind: 'market' }, quantity: 1 }, '/side: must be one of "buy", "sell"']]],
  ['a type inside itself', { $ref: '#/components/schemas/OrderState' }, [{ order_id: '1', parent: { order_id: '0', parent: null } }], [[{ order_id: '1', children: [{ order_id: 2 }] }, '/children/0/order_id: must be a string, not 2']]],
  ['a reference that leads nowhere', { $ref: 'https://example.com/schema.json' }, [1, null], []],
]) {
  test(`${name} is checked`, () => {
    for (const value of good) assert.deepEqual(validate(resolve, schema, value), [], JSON.stringify(value));
    for (const [value, fault] of bad) assert.ok(validate(resolve, schema, value).map(({ path, message }) => `${path}: ${message}`).includes(fault), `${fault} of ${JSON.stringify(value)}: ${JSON.stringify(validate(resolve, schema, value))}`);
  });
}

test('a value is checked to its depth without end', () => {
  const [loop, deep] = [{ $ref: '#/loop' }, { items: { $ref: '#/deep' } }];
  const own = (schema) => (schema.$ref === '#/loop' ? { schema: {}, broken: '#/loop' } : { schema: schema.$ref === '#/deep' ? deep : schema });
  assert.deepEqual(validate(own, loop, 1), []);
  assert.deepEqual(validate(own, deep, JSON.parse('['.repeat(1000) + ']'.repeat(1000))), []);
});

for (const [text, line, column, message] of [
  ['', 1, 1, /expected a value, but the text ends/],
  ['{"a": 1,}', 1, 8, /a comma too many/],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3, /expected a comma or }/],
  ["{'a': 1}", 1, 2, /double quotes/],
  ['{a: 1}', 1, 2, /a name in double quotes/],
  ['{"a" 1}', 1, 6, /a colon/],
  ['[1, 2', 1, 6, /expected a comma or \], but the text ends/],
  ['{"a": 01}', 1, 7, /expected a value/],
  ['{"a": "b}', 1, 7, /does not end/],
  ['{"a": "\\x"}', 1, 7, /stray backslash/],
  ['{} {}', 1, 4, /nothing may follow/],
  ['[nul]', 1, 2, /expected a value/],
]) {
  test(`${JSON.stringify(text)} is pointed at in line ${line}, column ${column}`, () => {
    const fault = jsonFault(text);
    assert.deepEqual([fault.line, fault.column], [line, column], fault.message);
    assert.match(fault.message, message);
  });
}

test('JSON has no fault', () => {
  for (const text of ['null', ' {"a": [1, -2.5e+3, true, "\\u00e9\\n", {}, []]} \n']) assert.equal(jsonFault(text), undefined);
});

test('names become the clients’ names', () => {
  assert.deepEqual(['list_subscriptions', 'ping', 'cancelAll', 'multi-subscribe'].map(camelCase), ['listSubscriptions', 'ping', 'cancelAll', 'multiSubscribe']);
  assert.deepEqual(['list_subscriptions', 'cancelAll', 'import', 'Class'].map(snakeCase), ['list_subscriptions', 'cancel_all', 'import_', 'class_']);
});

const ops = {
  info: { direction: 'send', message: { key: 'info' }, updates: [] },
  subscribe: { direction: 'send', message: { key: 'quotes.subscribe', 'x-topic': 'quotes:{symbol}' }, updates: ['quotes.update'] },
  unsubscribe: { direction: 'send', message: { key: 'quotes.unsubscribe', 'x-topic': 'quotes:{symbol}' }, updates: [] },
  named: { direction: 'send', message: { key: 'quotes.start', 'x-topic': 'q:{symbol}', 'x-unsubscribe': 'quotes.stop' }, updates: ['quotes.update'] },
  stop: { direction: 'send', message: { key: 'quotes.stop', 'x-topic': 'q:{symbol}' }, updates: [] },
  clear: { direction: 'send', message: { key: 'clear', 'x-topic': '*' }, updates: [] },
};

/** A session on a socket that only remembers what was sent. */
function fakeSession() {
  const [sent, delays] = [[], []];
  const socket = Object.assign(new EventTarget(), { state: 'open', send: (text) => sent.push(JSON.parse(text)), delayReturn: (ms) => delays.push(ms) });
  const session = new Session(socket, Object.values(ops));
  const receive = (frame) => socket.dispatchEvent(new CustomEvent('frame', { detail: JSON.stringify(frame) }));
  const become = (state) => {
    socket.state = state;
    socket.dispatchEvent(new Event('state'));
  };
  return { session, sent, delays, receive, become };
}

const subscribe = { direction: 'send', message: { key: 'bars.subscribe' }, updates: ['bars.update'] };
const multi = { direction: 'send', message: { key: 'multi_subscribe' }, updates: ['bars.update'] };
const follow = { direction: 'send', message: { key: 'bars.follow' }, updates: ['bars.update'] };
const list = { direction: 'send', message: { key: 'list_subscriptions' }, updates: [] };
const operations = [subscribe, multi, follow, list];

test('a shell reads the websocat line as it was meant, whatever is in the frame', () => {
  const frame = { type: 'bars.subscribe', id: '1', payload: { note: `it's "$HOME" \`x\` \\n 100 % \n` } };
  const line = snippet('websocat', { operation: subscribe, operations, frame, url: 'ws://localhost:8000/a?b=c&d', auth: undefined });
  assert.equal(line.split('\n').length, 1);
  const told = execFileSync('sh', ['-c', `websocat() { cat; printf '%s\\n' "$@"; }\n${line}`], { encoding: 'utf8' }).trimEnd().split('\n');
  assert.deepEqual(JSON.parse(told[0]), frame);
  assert.deepEqual(told.slice(1), ['-n', 'ws://localhost:8000/a?b=c&d']);
});

test('a request without updates ends after its reply', () => {
  const line = snippet('websocat', { operation: list, operations, frame: { type: 'list_subscriptions', id: '1' }, url: 'ws://localhost/ws' });
  assert.equal(line, `printf '%s\\n' '{"type":"list_subscriptions","id":"1"}' | websocat -n1 'ws://localhost/ws'`);
});

test('TypeScript calls the typed client', () => {
  const frame = { type: 'bars.subscribe', id: '1', payload: { symbol: 'AAPL', 'odd-key': [null, true] } };
  const code = snippet('TypeScript', { operation: subscribe, operations, frame, url: 'ws://localhost:8000/api/v1/ws' });
  assert.match(code, /^import \{ connect \} from "\.\/client\.ts";$/m);
  assert.match(code, /^const api = connect\(\{ url: "ws:\/\/localhost:8000\/api\/v1\/ws" \}\);$/m);
  assert.match(code, /^const reply = await api\.bars\.subscribe\(\{ symbol: "AAPL", "odd-key": \[null, true\] \}\);$/m);
  assert.match(code, /^for await \(const update of api\.bars\.stream\(\{ symbol: "AAPL", "odd-key": \[null, true\] \}\)\) console\.log\(update\);$/m);
  assert.match(snippet('TypeScript', { operation: list, operations, frame: { type: 'list_subscriptions' }, url: 'ws://x/' }), /await api\.listSubscriptions\(\);/);
});

test('a stream has a name of its own where several could be meant', () => {
  const streams = (operation) => ['TypeScript', 'Python'].map((form) => /api\.([\w.]*stream\w*)/.exec(snippet(form, { operation, operations, frame: {}, url: 'ws://x/' }))[1]);
  assert.deepEqual(streams(subscribe), ['bars.stream', 'bars.stream']);
  assert.deepEqual(streams(follow), ['bars.streamFollow', 'bars.stream_follow']);
  assert.deepEqual(streams(multi), ['streamMultiSubscribe', 'stream_multi_subscribe']);
});

test('Python calls the typed client, and is Python', () => {
  const frame = { type: 'bars.subscribe', id: '1', payload: { symbol: 'é😀"', flags: [null, true, false, 1.5] } };
  const code = snippet('Python', { operation: subscribe, operations, frame, url: 'ws://localhost:8000/api/v1/ws' });
  assert.match(code, /^from client import connect$/m);
  assert.match(code, /^ {4}async with connect\("ws:\/\/localhost:8000\/api\/v1\/ws"\) as api:$/m);
  assert.match(code, /^ {8}reply = await api\.bars\.subscribe\(\{"symbol": "é😀\\"", "flags": \[None, True, False, 1\.5\]\}\)$/m);
  assert.match(code, /^ {8}async for update in api\.bars\.stream\(/m);
});

test('a token is a placeholder in every form', () => {
  const request = { operation: subscribe, operations, frame: { type: 'bars.subscribe' }, url: 'ws://localhost/ws' };
  assert.match(snippet('websocat', { ...request, auth: { protocol: true } }), /--protocol 'fastws\.v1, bearer\.<token>'/);
  assert.match(snippet('websocat', { ...request, auth: { query: 'token' } }), /'ws:\/\/localhost\/ws\?token=<token>'/);
  for (const auth of [{ protocol: true }, { query: 'token' }]) {
    assert.match(snippet('TypeScript', { ...request, auth }), /connect\(\{ url: "ws:\/\/localhost\/ws", token: "<token>" \}\)/);
    assert.match(snippet('Python', { ...request, auth }), /connect\("ws:\/\/localhost\/ws", token="<token>"\)/);
  }
});

test('a close code is told in the document’s words, and says whether to return', () => {
  const told = explainClose([['1003', 'A message was refused.']], { code: 1003, reason: 'No matching type' });
  assert.deepEqual([told.meaning, told.reason, told.mayReturn], ['A message was refused.', 'No matching type', false]);
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 4000, 4009, 4099]) assert.equal(explainClose([], { code }).mayReturn, false, code);
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 4101, 4102, 4103, 4104]) assert.equal(explainClose([], { code }).mayReturn, true, code);
});

test('replies find their requests in whatever order they come', () => {
  const { session, receive } = fakeSession();
  const [one, two] = [session.request(ops.info), session.request(ops.info)];
  receive({ type: 'error', id: two.id, payload: { code: 'forbidden', message: 'no' } });
  receive({ type: 'info.response', id: one.id, payload: {} });
  assert.deepEqual([one.state, two.state, session.waiting.size], ['answered', 'refused', 0]);
  assert.ok(one.latency >= 0);
});

test('a subscription holds the topics of its reply, and counts their updates', () => {
  const { session, receive } = fakeSession();
  for (let times = 0; times < 2; times += 1) {
    const { id } = session.request(ops.subscribe, { symbols: ['A', 'B'] });
    receive({ type: 'quotes.subscribe.response', id, payload: { topics: ['quotes:A', 'quotes:B'] } });
  }
  receive({ type: 'quotes.update', topic: 'quotes:B', payload: {} });
  assert.deepEqual(session.subscriptions.map(({ topics, count }) => [topics, count]), [[['quotes:A', 'quotes:B'], 1]]);
  receive({ type: 'unsubscribed', topic: 'quotes:A', payload: { code: 'topic_ended', resubscribe: false } });
  assert.deepEqual(session.subscriptions[0].topics, ['quotes:B']);
  assert.equal(session.unsubscribeOperation(ops.subscribe), ops.unsubscribe);
  session.unsubscribe(session.subscriptions[0]);
  receive({ type: 'quotes.unsubscribe.response', id: [...session.waiting.keys()].at(-1), payload: { topics: ['quotes:B'] } });
  assert.deepEqual(session.subscriptions, []);
});

test('where no request is named to end a subscription, each topic is ended by its own fields', () => {
  const { session, receive, sent } = fakeSession();
  const { id } = session.request(ops.subscribe, { symbols: ['A', 'B:C'], interval: 1 });
  receive({ type: 'quotes.subscribe.response', id, payload: { topics: ['quotes:A', 'quotes:B%3AC'] } });
  session.unsubscribe(session.subscriptions[0]);
  assert.deepEqual(sent.slice(1).map(({ type, payload }) => [type, payload]), [['quotes.unsubscribe', { symbol: 'A' }], ['quotes.unsubscribe', { symbol: 'B:C' }]]);
  session.unsubscribe({ ...session.subscriptions[0], operation: ops.named, payload: { symbol: 'A' } });
  assert.deepEqual([sent.at(-1).type, sent.at(-1).payload], ['quotes.stop', { symbol: 'A' }]);
  receive({ type: 'cleared', id: session.request(ops.clear).id, payload: {} });
  assert.deepEqual(session.subscriptions, []);
});

test('subscriptions are made again after an interruption, and not after an end', () => {
  const { session, receive, become, sent } = fakeSession();
  const { id } = session.request(ops.subscribe, { symbols: ['A'] });
  receive({ type: 'quotes.subscribe.response', id, payload: { topic: 'quotes:A' } });
  const pending = session.request(ops.info);
  become('waiting');
  assert.deepEqual([pending.state, session.subscriptions[0].state], ['lost', 'interrupted']);
  become('connecting');
  become('open');
  assert.deepEqual(sent.at(-1).payload, { symbols: ['A'] });
  receive({ type: 'quotes.subscribe.response', id: sent.at(-1).id, payload: { topic: 'quotes:A' } });
  assert.deepEqual(session.subscriptions.map(({ state }) => state), ['active']);
  become('closed');
  assert.deepEqual(session.subscriptions, []);
});

test('the server says how long to stay away when it drains', () => {
  const { receive, delays } = fakeSession();
  receive({ type: 'draining', payload: { deadline_ms: 30_000, retry_after_ms: 1730 } });
  assert.deepEqual(delays, [1730]);
});

test('the waiting grows, within its bounds', () => {
  assert.deepEqual([0, 1, 2].map((attempt) => backOff(attempt, 1)), [1000, 2000, 4000]);
  assert.equal(backOff(0, 0), 500);
  assert.equal(backOff(99, 1), 30_000);
});

test('the whole page is small', async () => {
  const files = await Promise.all((await readdir(ASSETS)).map((name) => readFile(new URL(name, ASSETS))));
  const size = files.reduce((sum, content) => sum + gzipSync(content, { level: 9 }).length, 0);
  assert.ok(size < 75_000, `${size} bytes compressed`);
});

test('the server has every file of the page', async () => {
  const list = await readFile(new URL('../src/page.rs', ASSETS), 'utf8');
  for (const name of await readdir(ASSETS)) assert.ok(list.includes(`include_str!("../assets/${name}")`), name);
});
