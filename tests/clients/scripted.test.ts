// The client against a server that follows a script: what the trading API does not do on demand.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { connect as connectWithToken } from "./generated/tokens/client.ts";
import {
  ApiError,
  BufferOverflow,
  ConnectionClosed,
  ConnectionLost,
  RequestTimeout,
  SubscriptionEnded,
  connect,
  type Api,
  type ConnectOptions,
  type SubscriptionChange,
} from "./generated/client.ts";
import { Clock, Queue, Script, reached, settled, take, type Peer } from "./stage.ts";

const AAPL = { symbol: "AAPL", resolution: "1" } as const;
const TOPIC = "bars:AAPL:1";
const GRANTED = { status: "ok", message: "done", topic: TOPIC };

/** A client and the server's end of its first connection. */
async function pair(t: TestContext, options: ConnectOptions = {}): Promise<{ api: Api; peer: Peer; script: Script }> {
  const script = await Script.start(t);
  const api = open(t, script, options);
  const peer = await script.accept();
  await api.opened();
  return { api, peer, script };
}

function open(t: TestContext, script: Script, options: ConnectOptions = {}): Api {
  const api = connect({ url: script.url, WebSocket, reconnect: { base: 1 }, ...options });
  t.after(() => api.close());
  return api;
}

const refusal = (code: string) => (error: unknown) => error instanceof ApiError && error.code === code;

// Requests

test("requests wait for the connection and are paired by their ids", async (t) => {
  const script = await Script.start(t);
  const api = open(t, script);
  assert.equal(api.state, "connecting");
  const one = api.simple.ping({ timestamp: 1 });
  const two = api.simple.ping({ timestamp: 2 });
  const peer = await script.accept();
  const [first, second] = [await peer.read("simple.ping"), await peer.read("simple.ping")];
  for (const { id, payload } of [second, first]) peer.send({ type: "simple.pong", id, payload: { ...payload, server_time: 9 } });
  assert.deepEqual([(await one).timestamp, (await two).timestamp], [1, 2]);
});

test("a request without a reply ends with a timeout, and a late reply is nobody's", async (t) => {
  const { api, peer } = await pair(t);
  await assert.rejects(api.info({ timeout: 1 }), (error) => error instanceof RequestTimeout && error.operation === "info");
  const late = await peer.read("info");
  peer.send({ type: "info.response", id: late.id, payload: {} });
  const next = api.listSubscriptions();
  const request = await peer.read("list_subscriptions");
  peer.send({ type: "subscriptions", id: request.id, payload: { count: 3 } });
  assert.equal((await next).count, 3);
});

test("a request that never finds a connection ends with a timeout too", async (t) => {
  const script = await Script.start(t);
  const api = open(t, script, { token: () => new Promise(() => {}) });
  await assert.rejects(api.info({ timeout: 1 }), RequestTimeout);
});

test("a signal gives up a request with its own reason", async (t) => {
  const { api, peer } = await pair(t);
  const reason = new Error("the user went away");
  const gone = new AbortController();
  const asked = api.info({ signal: gone.signal });
  await peer.read("info");
  gone.abort(reason);
  await assert.rejects(asked, reason);
  await assert.rejects(api.info({ signal: gone.signal }), reason);
  assert.equal(peer.frames.size, 0, "a request whose signal is aborted is not sent");
});

test("a refusal carries all that the server has told", async (t) => {
  const { api, peer } = await pair(t);
  const asked = api.bars.subscribe(AAPL);
  const details = [{ path: "/symbol", message: "is not known" }];
  peer.refuse(await peer.read("bars.subscribe"), { code: "unknown_symbol", message: "no such symbol", details, retry_after_ms: 7 });
  const error: unknown = await asked.catch((error) => error);
  assert.ok(error instanceof ApiError);
  assert.equal(error.message, "no such symbol");
  assert.deepEqual([error.code, error.operation, error.details, error.retryAfterMs], ["unknown_symbol", "bars.subscribe", details, 7]);
});

test("no more requests are in flight than the server allows", async (t) => {
  const { api, peer } = await pair(t, { inFlight: 2 });
  const all = Promise.all([1, 2, 3].map((timestamp) => api.simple.ping({ timestamp })));
  const first = await peer.read("simple.ping");
  await peer.read("simple.ping");
  await settled();
  assert.equal(peer.frames.size, 0);
  peer.send({ type: "simple.pong", id: first.id, payload: {} });
  assert.equal((await peer.read("simple.ping")).payload.timestamp, 3);
  all.catch(() => {});
});

test("what waits for a reply when the connection breaks is told so, and is not sent again", async (t) => {
  const { api, peer, script } = await pair(t);
  const asked = api.simple.ping({ timestamp: 1 });
  await peer.read("simple.ping");
  peer.cut();
  await assert.rejects(asked, (error) => error instanceof ConnectionLost && error.close.code === 1006);
  const again = await script.accept();
  const next = api.simple.ping({ timestamp: 2 });
  const request = await again.read("simple.ping");
  assert.equal(request.payload.timestamp, 2);
  again.send({ type: "simple.pong", id: request.id, payload: { timestamp: 2, server_time: 0 } });
  await next;
});

// The connection

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 4001, 4009, 4099]) {
  test(`close code ${code} ends the client`, async (t) => {
    const { api, peer } = await pair(t);
    const asked = api.info();
    await peer.read("info");
    const loop = take(api.bars.stream(AAPL)[Symbol.asyncIterator]());
    await peer.read("bars.subscribe");
    peer.close(code, "because");
    const isTold = (error: unknown) => error instanceof ConnectionClosed && error.close.code === code && error.message.includes("because");
    await assert.rejects(asked, isTold);
    await assert.rejects(loop, isTold);
    await assert.rejects(api.info(), isTold);
    await assert.rejects(api.opened(), isTold);
    assert.equal(api.state, "closed");
    assert.deepEqual(api.lastClose, { code, reason: "because" });
  });
}

for (const code of [1001, 1011, 1012, 1013, 4101, 4102, 4103, 4104, 4199]) {
  test(`close code ${code} brings the client back`, async (t) => {
    const { api, peer, script } = await pair(t);
    peer.close(code);
    await script.accept();
    await reached(api, "open");
    assert.equal(api.lastClose?.code, code);
  });
}

test("the wait doubles up to its limit, with full jitter, and begins anew after a stable connection", async (t) => {
  const clock = new Clock();
  const sockets: FakeSocket[] = [];
  class FakeSocket {
    onopen: ((event: any) => void) | null = null;
    onmessage: ((event: any) => void) | null = null;
    onclose: ((event: any) => void) | null = null;
    onerror: ((event: any) => void) | null = null;
    constructor() {
      sockets.push(this);
    }
    send(): void {}
    close(): void {
      this.onclose?.({ code: 1000 });
    }
  }
  const reconnect = { base: 100, max: 500, stableAfter: 1000 };
  const api = connect({ WebSocket: FakeSocket, reconnect, random: () => 0.5, timers: clock.timers, heartbeat: false });
  t.after(() => api.close());
  const waits: number[] = [];
  const fail = (code: number) => {
    sockets.at(-1)?.onclose?.({ code, reason: "" });
    waits.push(...clock.waits);
    assert.equal(api.state, "waiting");
    clock.advance(clock.waits[0]!);
  };
  for (let attempt = 0; attempt < 5; attempt += 1) fail(1006);
  assert.deepEqual(waits, [50, 100, 200, 250, 250]);
  assert.equal(api.attempts, 5);
  sockets.at(-1)?.onopen?.({});
  fail(1001);
  assert.equal(waits.at(-1), 250, "an unstable connection does not count");
  sockets.at(-1)?.onopen?.({});
  clock.advance(1000);
  fail(1001);
  assert.equal(waits.at(-1), 50);
  // An attempt that takes too long is a failed one.
  clock.advance(10_000);
  assert.equal(api.state, "waiting");
  assert.match(api.lastClose?.reason ?? "", /too long/);
});

test("a draining server says when to come back", async (t) => {
  const clock = new Clock();
  const { api, peer } = await pair(t, { timers: clock.timers, reconnect: { base: 100_000 }, heartbeat: false });
  const told = new Queue<number>();
  api.on("draining", ({ retry_after_ms }) => told.push(retry_after_ms));
  peer.send({ type: "draining", payload: { deadline_ms: 30000, retry_after_ms: 1730 } });
  assert.equal(await told.next(), 1730);
  peer.close(1012);
  await reached(api, "waiting");
  assert.deepEqual(clock.waits, [1730]);
});

test("the client gives up after as many attempts as it was told", async (t) => {
  const script = await Script.start(t);
  const api = open(t, script, { reconnect: { base: 1, attempts: 2 } });
  for (let attempt = 0; attempt < 3; attempt += 1) (await script.accept()).close(1011);
  await reached(api, "closed");
  await assert.rejects(api.info(), /no connection after 2 attempts/);
});

test("the token is asked for at each connect and stands among the subprotocols", async (t) => {
  let asked = 0;
  const { peer, script } = await pair(t, { token: async () => `token-${(asked += 1)}` });
  assert.equal(peer.protocols, "fastws.v1,bearer.token-1");
  peer.close(4101, "token expired");
  assert.equal((await script.accept()).protocols, "fastws.v1,bearer.token-2");
});

test("a token that cannot be had now is asked for again", async (t) => {
  const answers = [() => Promise.reject(new Error("offline")), () => "second"];
  const script = await Script.start(t);
  const api = open(t, script, { token: () => answers.shift()!() });
  assert.equal((await script.accept()).protocols, "fastws.v1,bearer.second");
  assert.match(api.lastClose?.reason ?? "", /offline/);
});

test("a token that no subprotocol can carry ends the client at once", async (t) => {
  const script = await Script.start(t);
  const api = open(t, script, { token: "with space" });
  await assert.rejects(api.opened(), /token has characters/);
});

test("a document that takes tokens in the query alone gets them there", async (t) => {
  const script = await Script.start(t);
  const api = connectWithToken({ url: script.url, WebSocket, token: "a b" });
  t.after(() => api.close());
  const peer = await script.accept();
  assert.deepEqual([peer.url, peer.protocols], ["/?access=a+b", undefined]);
});

test("a quiet connection is asked for a sign of life, and is replaced without one", async (t) => {
  const { api, peer, script } = await pair(t, { heartbeat: { interval: 20, timeout: 20 } });
  for (let beat = 0; beat < 3; beat += 1) {
    const { id } = await peer.read("ping");
    peer.send({ type: "pong", id, payload: { server_time: 1 } });
  }
  await peer.read("ping");
  await script.accept();
  assert.match(api.lastClose?.reason ?? "", /no sign of life/);
});

test("what the application sends does not hide that nothing comes back", async (t) => {
  const clock = new Clock();
  const { api, peer, script } = await pair(t, { timers: clock.timers, heartbeat: { interval: 100, timeout: 50 } });
  const types: string[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    api.info().catch(() => {});
    types.push((await peer.frames.next()).type);
    clock.advance(50);
  }
  assert.deepEqual(types, ["info", "info", "ping"]);
  await reached(api, "waiting");
  clock.advance(1000);
  await script.accept();
});

// Subscriptions

test("subscriptions come back with the connection, requests do not", async (t) => {
  const { api, peer, script } = await pair(t);
  const changes: SubscriptionChange[] = [];
  api.onSubscription((change) => changes.push(change));
  const asked = api.bars.subscribe(AAPL);
  await peer.grant("bars.subscribe", TOPIC);
  assert.equal((await asked).topic, TOPIC);
  peer.cut();
  const again = await script.accept();
  const { payload } = await again.grant("bars.subscribe", TOPIC);
  assert.deepEqual(payload, AAPL);
  const ended = api.bars.unsubscribe(AAPL);
  await again.grant("bars.unsubscribe", TOPIC);
  await ended;
  again.cut();
  const last = await script.accept();
  await reached(api, "open");
  await settled();
  assert.equal(last.frames.size, 0);
  assert.deepEqual(changes.map(({ kind, operation, topics }) => [kind, operation, topics]), [
    ["subscribed", "bars.subscribe", [TOPIC]],
    ["subscribed", "bars.subscribe", [TOPIC]],
  ]);
});

test("a stream begins anew with the snapshot after a reconnect", async (t) => {
  const { api, peer, script } = await pair(t);
  const frames = api.bars.stream(AAPL).frames()[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 1, { snapshot: true });
  peer.bar("bars:GOOGL:1", 99);
  peer.bar(TOPIC, 2);
  const first = await take(frames);
  assert.deepEqual([first.snapshot, first.topic, first.payload.close], [true, TOPIC, 1]);
  assert.equal((await take(frames)).payload.close, 2);
  peer.cut();
  const again = await script.accept();
  await again.grant("bars.subscribe", TOPIC);
  again.bar(TOPIC, 3, { snapshot: true });
  assert.deepEqual([(await take(frames)).payload.close], [3]);
  await frames.return?.();
  await again.grant("bars.unsubscribe", TOPIC);
});

test("a topic with a history is recovered where it broke off", async (t) => {
  const { api, peer, script } = await pair(t);
  const changes = new Queue<SubscriptionChange>();
  api.onSubscription((change) => changes.push(change));
  const frames = api.bars.stream(AAPL).frames()[Symbol.asyncIterator]();
  const { recover } = await peer.grant("bars.subscribe", TOPIC, { epoch: "k3Zp9aQ2", offset: 41, recovered: false });
  assert.equal(recover, undefined);
  peer.bar(TOPIC, 1, { snapshot: true, offset: 41 });
  peer.bar(TOPIC, 2, { offset: 42 });
  peer.bar(TOPIC, 3, { offset: 46, skipped: 3 });
  assert.equal((await take(frames)).offset, 41);
  assert.equal((await take(frames)).offset, 42);
  assert.equal((await take(frames)).skipped, 3);
  peer.cut();
  const again = await script.accept();
  const resumed = await again.grant("bars.subscribe", TOPIC, { epoch: "k3Zp9aQ2", offset: 48, recovered: true });
  assert.deepEqual(resumed.recover, { epoch: "k3Zp9aQ2", offset: 46 });
  again.bar(TOPIC, 4, { offset: 47 });
  again.bar(TOPIC, 5, { offset: 48 });
  again.bar(TOPIC, 6, { offset: 49 });
  for (const close of [4, 5, 6]) assert.equal((await take(frames)).payload.close, close);
  assert.equal((await changes.next()).recovered, false);
  assert.equal((await changes.next()).recovered, true);
});

test("a gap is noticed and mended, and nothing is told twice", async (t) => {
  const { api, peer } = await pair(t);
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  const heard: number[] = [];
  api.on("bars.update", ({ close }) => heard.push(close));
  await peer.grant("bars.subscribe", TOPIC, { epoch: "e", offset: 7 });
  peer.bar(TOPIC, 8, { offset: 8 });
  peer.bar(TOPIC, 8, { offset: 8 });
  peer.bar(TOPIC, 10, { offset: 10 });
  await peer.grant("bars.unsubscribe", TOPIC);
  const { recover } = await peer.grant("bars.subscribe", TOPIC, { epoch: "e", offset: 10, recovered: true });
  assert.deepEqual(recover, { epoch: "e", offset: 8 });
  for (const offset of [9, 10, 11]) peer.bar(TOPIC, offset, { offset });
  for (const close of [8, 9, 10, 11]) assert.equal((await take(bars)).close, close);
  assert.deepEqual(heard, [8, 9, 10, 11]);
});

test("two loops with equal params share a subscription, and the last one ends it", async (t) => {
  const { api, peer } = await pair(t);
  const one = api.bars.stream({ symbol: "AAPL", resolution: "1" })[Symbol.asyncIterator]();
  const two = api.bars.stream({ resolution: "1", symbol: "AAPL" })[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 1);
  assert.deepEqual([(await take(one)).close, (await take(two)).close], [1, 1]);
  await one.return?.();
  peer.bar(TOPIC, 2);
  assert.equal((await take(two)).close, 2);
  assert.equal(peer.frames.size, 0);
  await two.return?.();
  await peer.grant("bars.unsubscribe", TOPIC);
});

test("a loop that comes later begins with a snapshot too", async (t) => {
  const { api, peer } = await pair(t);
  const one = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 1, { snapshot: true });
  await take(one);
  const two = api.bars.stream(AAPL).frames()[Symbol.asyncIterator]();
  peer.bar(TOPIC, 2);
  assert.equal((await take(one)).close, 2);
  await peer.grant("bars.unsubscribe", TOPIC);
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 3, { snapshot: true });
  assert.equal((await take(one)).close, 3);
  assert.equal((await take(two)).snapshot, true);
});

test("loops that name one topic in two ways keep it for each other", async (t) => {
  const { api, peer } = await pair(t);
  const one = api.bars.stream({ symbol: "AAPL" })[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  const two = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 1);
  await Promise.all([take(one), take(two)]);
  await one.return?.();
  peer.bar(TOPIC, 2);
  assert.equal((await take(two)).close, 2);
  assert.equal(peer.frames.size, 0, "the other one still needs the topic");
  await two.return?.();
  await peer.grant("bars.unsubscribe", TOPIC);
});

test("what the application has subscribed outlives its loops", async (t) => {
  const { api, peer } = await pair(t);
  const asked = api.bars.subscribe(AAPL);
  await peer.grant("bars.subscribe", TOPIC);
  await asked;
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  peer.bar(TOPIC, 1);
  await take(bars);
  await bars.return?.();
  await settled();
  assert.equal(peer.frames.size, 0);
});

test("an unsubscribe request of the application ends the loops of its topic", async (t) => {
  const { api, peer } = await pair(t);
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  const ended = api.bars.unsubscribe({ symbol: "AAPL" });
  await peer.grant("bars.unsubscribe", TOPIC);
  await ended;
  assert.equal((await bars.next()).done, true);
});

test("a part of a subscription that was ended stays ended after a reconnect", async (t) => {
  const { api, peer, script } = await pair(t);
  const asked = api.quotes.subscribe({ symbols: ["AAPL", "MSFT"] });
  const request = await peer.read("quotes.subscribe");
  peer.reply(request, { status: "ok", message: "", topics: ["quotes:AAPL", "quotes:MSFT"] });
  await asked;
  const ended = api.quotes.unsubscribe({ symbol: "AAPL" });
  await peer.grant("quotes.unsubscribe", "quotes:AAPL");
  await ended;
  peer.cut();
  const again = await script.accept();
  again.reply(await again.read("quotes.subscribe"), { status: "ok", message: "", topics: ["quotes:AAPL", "quotes:MSFT"] });
  assert.deepEqual((await again.grant("quotes.unsubscribe", "quotes:AAPL")).payload, { symbol: "AAPL" });
});

test("a request that ends everything ends everything", async (t) => {
  const script = await Script.start(t);
  const api = connect({ url: script.url, WebSocket, reconnect: { base: 1 } });
  t.after(() => api.close());
  const peer = await script.accept();
  const many = api.streamMultiSubscribe({ symbols: ["AAPL", "MSFT"] })[Symbol.asyncIterator]();
  peer.reply(await peer.read("multi_subscribe"), { topics: [TOPIC, "bars:MSFT:1"] });
  peer.bar("bars:MSFT:1", 5);
  assert.equal((await take(many)).close, 5);
  const alerts = api.alerts.stream()[Symbol.asyncIterator]();
  await peer.grant("alerts.subscribe", "alerts");
  const cleared = api.clearSubscriptions();
  const { id } = await peer.read("clear_subscriptions");
  peer.send({ type: "cleared", id, payload: { status: "ok", cleared: [], count: 3 } });
  await cleared;
  assert.deepEqual([(await many.next()).done, (await alerts.next()).done], [true, true]);
  peer.cut();
  const again = await script.accept();
  await api.opened();
  await settled();
  assert.equal(again.frames.size, 0);
});

test("a loop whose first subscribe request is refused throws the refusal", async (t) => {
  const { api, peer } = await pair(t);
  const loop = take(api.bars.stream(AAPL)[Symbol.asyncIterator]());
  peer.refuse(await peer.read("bars.subscribe"), { code: "unknown_symbol" });
  await assert.rejects(loop, refusal("unknown_symbol"));
});

test("a subscription that cannot come back now is asked for again, and a refused one is told lost", async (t) => {
  const { api, peer, script } = await pair(t);
  const lost = new Queue<SubscriptionChange>();
  api.onSubscription((change) => change.kind === "lost" && lost.push(change));
  const asked = api.bars.subscribe(AAPL);
  await peer.grant("bars.subscribe", TOPIC);
  await asked;
  peer.cut();
  const again = await script.accept();
  again.refuse(await again.read("bars.subscribe"), { code: "unavailable", retry_after_ms: 1 });
  again.refuse(await again.read("bars.subscribe"), { code: "internal_error" });
  again.refuse(await again.read("bars.subscribe"), { code: "forbidden" });
  const change = await lost.next();
  assert.deepEqual([change.operation, change.payload, (change.error as ApiError).code], ["bars.subscribe", AAPL, "forbidden"]);
});

test("a topic that has ended ends its loops with the reason, after what came before", async (t) => {
  const { api, peer } = await pair(t);
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 1);
  peer.send({ type: "unsubscribed", topic: TOPIC, payload: { code: "topic_ended", resubscribe: false } });
  assert.equal((await take(bars)).close, 1);
  await assert.rejects(bars.next(), (error) => error instanceof SubscriptionEnded && error.code === "topic_ended" && error.topic === TOPIC);
  assert.equal((await bars.next()).done, true);
});

test("a notice that says to subscribe again is followed", async (t) => {
  const { api, peer } = await pair(t);
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  peer.send({ type: "unsubscribed", topic: TOPIC, payload: { code: "moved", resubscribe: true } });
  await peer.grant("bars.subscribe", TOPIC);
  peer.bar(TOPIC, 4);
  assert.equal((await take(bars)).close, 4);
});

test("a topic that fails for a while is waited for, and one that fails for good is told", async (t) => {
  const { api, peer } = await pair(t);
  const told: string[] = [];
  api.on("error", ({ code }) => told.push(code));
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC, { epoch: "one", offset: 5 });
  const failed = { code: "topic_failed", message: "the venue is down" };
  peer.send({ type: "error", topic: TOPIC, payload: { ...failed, retry_after_ms: 100 } });
  peer.bar(TOPIC, 1, { offset: 1 });
  assert.equal((await take(bars)).close, 1);
  peer.send({ type: "error", topic: TOPIC, payload: failed });
  peer.send({ type: "unsubscribed", topic: TOPIC, payload: { code: "topic_failed", resubscribe: false } });
  await assert.rejects(bars.next(), refusal("topic_failed"));
  assert.deepEqual(told, ["topic_failed", "topic_failed"]);
});

test("a loop that is too slow is told so", async (t) => {
  const { api, peer } = await pair(t);
  const bars = api.bars.stream(AAPL, { buffer: 2 })[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  for (const close of [1, 2, 3, 4]) peer.bar(TOPIC, close);
  await peer.grant("bars.unsubscribe", TOPIC);
  for (const close of [1, 2, 3]) assert.equal((await take(bars)).close, close);
  await assert.rejects(bars.next(), BufferOverflow);
});

test("a loop that prefers news loses the oldest, and is told how many", async (t) => {
  const { api, peer } = await pair(t);
  const frames = api.bars.stream(AAPL, { buffer: 2, overflow: "drop-oldest" }).frames()[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC, { epoch: "e", offset: 0 });
  for (const offset of [1, 2, 3]) peer.bar(TOPIC, offset, { offset });
  peer.bar(TOPIC, 6, { offset: 6, skipped: 2 });
  const asked = api.info();
  peer.send({ type: "info.response", id: (await peer.read("info")).id, payload: {} });
  await asked;
  const [first, second] = [await take(frames), await take(frames)];
  assert.deepEqual([first.offset, first.skipped, second.offset, second.skipped], [3, 2, 6, 2]);
});

test("a signal ends a loop, and with it the subscription", async (t) => {
  const { api, peer } = await pair(t);
  const gone = new AbortController();
  const looped = (async () => {
    for await (const bar of api.bars.stream(AAPL, { signal: gone.signal })) assert.ok(bar);
  })();
  await peer.grant("bars.subscribe", TOPIC);
  gone.abort();
  await looped;
  await peer.grant("bars.unsubscribe", TOPIC);
  const never = api.bars.stream(AAPL, { signal: gone.signal })[Symbol.asyncIterator]();
  assert.equal((await never.next()).done, true);
  assert.equal(peer.frames.size, 0);
});

test("a loop may break before the reply, and another one may begin at once", async (t) => {
  const { api, peer } = await pair(t);
  const one = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  const request = await peer.read("bars.subscribe");
  await one.return?.();
  const two = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  peer.reply(request, GRANTED);
  peer.bar(TOPIC, 1);
  assert.equal((await take(two)).close, 1);
  assert.equal(peer.frames.size, 0);
});

// The end

test("close rejects what is pending, ends the loops and leaves nothing behind", async (t) => {
  const { api, peer } = await pair(t);
  const asked = assert.rejects(api.info(), ConnectionClosed);
  await peer.read("info");
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await peer.grant("bars.subscribe", TOPIC);
  const next = bars.next();
  await api.close();
  await asked;
  assert.equal((await next).done, true);
  assert.equal(await peer.closed, 1000);
  assert.equal(api.state, "closed");
  await assert.rejects(api.info(), ConnectionClosed);
  await assert.rejects(take(api.bars.stream(AAPL)[Symbol.asyncIterator]()), ConnectionClosed);
  await api.close();
});

test("a program ends by itself after close, with either socket", async (t) => {
  const script = await Script.start(t);
  for (const [flags, socket] of [[[], "ws"], [["--experimental-websocket"], "global"]] as const) {
    const child = spawn(process.execPath, [...flags, "--input-type=module", "--eval", `
      import { connect } from ${JSON.stringify(new URL("client.mjs", import.meta.url).href)};
      import { WebSocket } from ${JSON.stringify(import.meta.resolve("ws"))};
      const api = connect({ url: ${JSON.stringify(script.url)}, ${socket === "ws" ? "WebSocket," : ""} });
      await api.opened();
      api.info().catch(() => {});
      api.bars.stream({ symbol: "AAPL" })[Symbol.asyncIterator]().next();
      await api.close();
    `], { stdio: ["ignore", "inherit", "inherit"] });
    const [code] = await once(child, "exit");
    assert.equal(code, 0, socket);
  }
});

test("without a WebSocket the program is told where to get one", async () => {
  const child = spawn(process.execPath, ["--no-experimental-websocket", "--input-type=module", "--eval", `
    import { connect } from ${JSON.stringify(new URL("client.mjs", import.meta.url).href)};
    connect();
  `], { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (data) => (told += data));
  await once(child, "close");
  assert.match(told, /npm package `ws`/);
});
