// The client and its React hooks in a real Chromium, at the trading API's own origin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Program } from "./stage.ts";

const { chromium } = createRequire(new URL("../../../browser/", import.meta.url))("playwright-core");

declare const window: {
  api: { listSubscriptions(): Promise<{ topics: string[] }>; state: string };
  setSymbols(symbols: string[]): void;
};

test("components follow topics, share them, and come back with the server", async (t) => {
  const program = await Program.start(t);
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" "),
  });
  t.after(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error: Error) => complaints.push(String(error)));
  const heard: string[] = [];
  page.on("console", (message: { text(): string }) => heard.push(message.text()));
  // Any page of the server will do: it gives the script its origin.
  await page.goto(`${program.origin}/api/v1/health`);
  await page.addScriptTag({ type: "module", content: readFileSync(new URL("page.mjs", import.meta.url), "utf8") });

  const shows = async (text: RegExp, count = 1) => {
    const place = page.locator("output").filter({ hasText: text }).nth(count - 1);
    await place.waitFor().catch(async (error: Error) => {
      assert.fail(`${error.message}\n${await page.locator("body").innerHTML()}\n${[...complaints, ...heard].join("\n")}`);
    });
  };
  const topics = async (expected: string[]) => {
    for (;;) {
      const held = await page.evaluate(async () => (await window.api.listSubscriptions()).topics);
      if (JSON.stringify(held) === JSON.stringify(expected)) return;
    }
  };
  await shows(/^AAPL \d/, 2);
  await topics(["bars:AAPL:1"]);

  await page.evaluate(() => window.setSymbols(["GOOGL", "NOSUCH"]));
  await shows(/^GOOGL \d/);
  await shows(/^ApiError: .*NOSUCH/);
  await topics(["bars:GOOGL:1"]);

  await page.evaluate(() => window.setSymbols(["GOOGL"]));
  const snapshots = async () => Number(await page.locator("output").getAttribute("data-snapshots"));
  const before = await snapshots();
  await program.kill();
  await page.locator('output:not([data-state="open"])').waitFor();
  await shows(/^GOOGL \d/);
  await program.start();
  await page.locator('output[data-state="open"]').waitFor();
  while ((await snapshots()) === before);

  await page.evaluate(() => window.setSymbols([]));
  await topics([]);
  assert.deepEqual(complaints, []);
});
