// The client against the trading API itself: every operation, sockets that are cut, a server that is killed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { ApiError, ConnectionLost, connect, type Api, type Bar, type RequestMap } from "./generated/client.ts";
import { Program, Proxy, Queue, reached, take } from "./stage.ts";

const AAPL = { symbol: "AAPL", resolution: "1" } as const;

function open(t: TestContext, url: string): Api {
  const api = connect({ url, WebSocket, reconnect: { base: 20 } });
  t.after(() => api.close());
  return api;
}

test("every operation does what its types say", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const calls: { [N in keyof RequestMap]: () => Promise<void> } = {
    "alerts.subscribe": async () => assert.equal((await api.alerts.subscribe()).topic, "alerts"),
    "alerts.unsubscribe": async () => assert.equal((await api.alerts.unsubscribe()).status, "ok"),
    "bars.subscribe": async () => {
      const reply = await api.bars.subscribe(AAPL);
      assert.deepEqual([reply.topic, reply.symbol, reply.resolution], ["bars:AAPL:1", "AAPL", "1"]);
    },
    "bars.unsubscribe": async () => assert.equal((await api.bars.unsubscribe(AAPL)).topic, "bars:AAPL:1"),
    "quotes.subscribe": async () => {
      const { topics } = await api.quotes.subscribe({ symbols: ["AAPL", "BTCUSD"] });
      assert.deepEqual(topics, ["quotes:AAPL", "quotes:BTCUSD"]);
    },
    "quotes.unsubscribe": async () => assert.equal((await api.quotes.unsubscribe({ symbol: "AAPL" })).topic, "quotes:AAPL"),
    multi_subscribe: async () => {
      const { topics, count } = await api.multiSubscribe({ symbols: ["AAPL", "BTCUSD"], params: { resolution: "5" } });
      assert.deepEqual([topics, count], [["bars:AAPL:5", "bars:BTCUSD:5"], 2]);
    },
    list_subscriptions: async () => assert.equal((await api.listSubscriptions()).count, 3),
    clear_subscriptions: async () => assert.equal((await api.clearSubscriptions()).count, 3),
    info: async () => assert.match((await api.info()).client_id, /^[0-9a-f]{32}$/),
    ping: async () => {
      const pong = await api.ping({ mine: 7 });
      assert.ok(pong["mine"] === 7 && pong.server_time > 1_700_000_000_000);
      assert.ok((await api.ping()).server_time > 0);
    },
    "simple.ping": async () => assert.equal((await api.simple.ping({ timestamp: 5 })).timestamp, 5),
  };
  const document = JSON.parse(readFileSync(new URL("../document.json", import.meta.url), "utf8"));
  const sent = document.channels["/api/v1/ws"].publish.message.oneOf.map(({ $ref }: { $ref: string }) => $ref.split("/").at(-1));
  assert.deepEqual(Object.keys(calls).sort(), sent.sort());
  for (const call of Object.values(calls)) await call();
});

test("a mistake is an error with a code, and names its field", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const wrong = await api.bars.subscribe({ symbol: "" }).catch((error: unknown) => error);
  assert.ok(wrong instanceof ApiError && wrong.code === "invalid_payload");
  assert.deepEqual([wrong.operation, wrong.details[0]?.path], ["bars.subscribe", "/symbol"]);
  const unknown = await take(api.bars.stream({ symbol: "NOSUCH" })[Symbol.asyncIterator]()).catch((error: unknown) => error);
  assert.ok(unknown instanceof ApiError && unknown.code === "unknown_symbol", String(unknown));
});

test("updates come to loops and to listeners, the snapshot first", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const heard = new Queue<Bar>();
  const off = api.on("bars.update", (bar, { topic }) => topic === "bars:AAPL:1" && heard.push(bar));
  let seen = 0;
  for await (const { payload, snapshot, topic } of api.bars.stream(AAPL).frames()) {
    assert.deepEqual([snapshot === true, topic], [seen === 0, "bars:AAPL:1"]);
    assert.deepEqual(await heard.next(), payload);
    if ((seen += 1) === 3) break;
  }
  off();
  // The loop is over, so the client unsubscribes by itself.
  while ((await api.listSubscriptions()).count > 0);
});

test("a loop goes on with a fresh snapshot when its socket is cut", async (t) => {
  const program = await Program.start(t);
  const proxy = await Proxy.start(t, program.port);
  const api = open(t, proxy.url);
  const frames = api.quotes.stream({ symbols: ["AAPL", "BTCUSD"] }).frames()[Symbol.asyncIterator]();
  for (let cut = 0; cut < 3; cut += 1) {
    const topics = new Set<string>();
    while (topics.size < 2) {
      const { snapshot, topic } = await take(frames);
      if (snapshot === true) topics.add(topic);
    }
    const lost = reached(api, "waiting");
    proxy.cut();
    await lost;
  }
});

test("after a kill and a restart everything that was subscribed is back, and what was pending has ended", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const back = new Queue<readonly string[]>();
  api.onSubscription(({ kind, topics }) => back.push(kind === "subscribed" ? topics : []));
  const all = ["bars:AAPL:1", "bars:BTCUSD:5", "quotes:BTCUSD"];
  const allAreBack = async () => {
    for (const missing = new Set(all); missing.size > 0; ) for (const topic of await back.next()) missing.delete(topic);
  };
  await api.quotes.subscribe({ symbol: "BTCUSD" });
  const bars = api.bars.stream(AAPL).frames()[Symbol.asyncIterator]();
  const others = api.bars.stream({ symbol: "BTCUSD", resolution: "5" }).frames()[Symbol.asyncIterator]();
  assert.equal((await take(bars)).snapshot, true);
  assert.equal((await take(others)).snapshot, true);
  await allAreBack();

  program.freeze();
  const pending = [api.info(), api.listSubscriptions(), api.bars.unsubscribe({ symbol: "GOOGL" })];
  const ended = Promise.all(pending.map((one) => assert.rejects(one, ConnectionLost)));
  await program.kill();
  await ended;
  const unsent = api.simple.ping({ timestamp: 1 });
  await program.start();
  assert.equal((await unsent).timestamp, 1, "what was never sent is not lost");
  for (const frames of [bars, others]) {
    // What was left from before the kill comes first.
    while ((await take(frames)).snapshot !== true);
  }
  await allAreBack();
});

test("a server that stops politely is waited for", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const bars = api.bars.stream(AAPL)[Symbol.asyncIterator]();
  await take(bars);
  const lost = reached(api, "waiting");
  program.terminate();
  await lost;
  assert.equal(api.lastClose?.code, 1001);
  await program.kill();
  await program.start();
  await take(bars);
  await reached(api, "open");
});

test("two loops that begin one after the other both begin with a snapshot", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const one = api.bars.stream(AAPL).frames()[Symbol.asyncIterator]();
  assert.equal((await take(one)).snapshot, true);
  const two = api.bars.stream({ symbol: "AAPL" }).frames()[Symbol.asyncIterator]();
  assert.equal((await take(two)).snapshot, true);
  await two.return?.();
  for (let update = 0; update < 5; update += 1) await take(one);
});

test("a hundred loops begin at once, though the server takes few requests at a time", async (t) => {
  const program = await Program.start(t);
  const api = open(t, program.url);
  const resolutions = ["1", "5", "15", "30", "60", "240", "D", "W"] as const;
  const symbols = ["AAPL", "GOOGL", "MSFT", "BTCUSD"];
  const loops = symbols.flatMap((symbol) =>
    resolutions.flatMap((resolution) => [1, 2, 3].map(() => api.bars.stream({ symbol, resolution })[Symbol.asyncIterator]())),
  );
  await Promise.all(loops.map(take));
  assert.equal((await api.listSubscriptions()).count, symbols.length * resolutions.length);
});

test("hand-written subscriptions have streams too, which end topic by topic", async (t) => {
  const program = await Program.start(t);
  const proxy = await Proxy.start(t, program.port);
  const api = connect({ url: proxy.url, WebSocket, reconnect: { base: 20 } });
  t.after(() => api.close());
  const back = new Queue<string>();
  await api.alerts.subscribe();
  const bars = api.streamMultiSubscribe({ symbols: ["AAPL", "BTCUSD"] }).frames()[Symbol.asyncIterator]();
  await take(bars);
  api.onSubscription(({ operation }) => back.push(operation));
  proxy.cut();
  assert.deepEqual([await back.next(), await back.next()].sort(), ["alerts.subscribe", "multi_subscribe"]);
  await take(bars);
  await api.clearSubscriptions();
  for await (const _ of { [Symbol.asyncIterator]: () => bars });
});

test("leaving a loop over several topics ends each of them", async (t) => {
  const program = await Program.start(t);
  const api = connect({ url: program.url, WebSocket });
  t.after(() => api.close());
  const topics = new Set<string>();
  for await (const { topic } of api.streamMultiSubscribe({ symbols: ["AAPL", "BTCUSD"] }).frames()) {
    if (topics.add(topic).size === 2) break;
  }
  assert.deepEqual([...topics].sort(), ["bars:AAPL:1", "bars:BTCUSD:1"]);
  // Two endings are on their way: requests are answered in order, so they are done when this is.
  assert.deepEqual((await api.listSubscriptions()).topics, []);
});
