// What the generated types allow, and what they refuse; checked by `tsc`, never run.

import { ApiError, type Api, type Bar, type ClientFrame, type Resolution, type ServerFrame } from "./generated/client.ts";
import { useTopic } from "./generated/useTopic.ts";

export async function requests(api: Api): Promise<void> {
  const reply = await api.bars.subscribe({ symbol: "AAPL", resolution: "1" }, { timeout: 100, signal: AbortSignal.timeout(5) });
  reply.resolution satisfies Resolution;
  reply.status satisfies "ok";
  await api.bars.subscribe({ symbol: "AAPL", resolution: null });
  await api.info({ timeout: 1 });
  await api.ping();
  await api.ping(null, { timeout: 1 });
  (await api.request("list_subscriptions", undefined)).topics satisfies string[];
  // @ts-expect-error: the symbol is missing
  await api.bars.subscribe({ resolution: "1" });
  // @ts-expect-error: there is no such resolution
  await api.bars.subscribe({ symbol: "AAPL", resolution: "7" });
  // @ts-expect-error: this request carries nothing
  await api.info({ symbol: "AAPL" });
  // @ts-expect-error: there is no such operation
  await api.request("bars.follow", {});
}

export async function updates(api: Api): Promise<void> {
  for await (const bar of api.bars.stream({ symbol: "AAPL" }, { buffer: 10, overflow: "drop-oldest" })) bar satisfies Bar;
  for await (const frame of api.bars.stream({ symbol: "AAPL" }).frames()) {
    frame.type satisfies "bars.update";
    frame.payload satisfies Bar;
    frame.skipped satisfies number | undefined;
  }
  for await (const alert of api.alerts.stream()) alert.severity satisfies "info" | "warning" | "critical";
  api.on("quotes.update", (quote, { topic }) => [quote.bid satisfies number | null | undefined, topic satisfies string]);
  // @ts-expect-error: a request is no event
  api.on("bars.subscribe", () => {});
  // @ts-expect-error: this request brings nothing
  api.stream("info", undefined);
}

export function frames(sent: ClientFrame, received: ServerFrame): Bar | string | undefined {
  if (sent.type === "bars.subscribe") sent.payload.symbol satisfies string;
  switch (received.type) {
    case "bars.update":
      return received.payload;
    case "error":
      return received.payload.code;
    default:
      // @ts-expect-error: other frames carry other payloads
      return received.payload.code;
  }
}

export function errors(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  error.retryAfterMs satisfies number | undefined;
  return error.code === "rate_limited" || error.code === "a word of the application's own";
}

export function Hook(api: Api | undefined): number | undefined {
  const { data, frame, error } = useTopic(api, "quotes.subscribe", { symbols: ["AAPL"] });
  // @ts-expect-error: the params are those of the subscribe request
  useTopic(api, "bars.subscribe", { symbols: ["AAPL"] });
  return error === undefined && frame?.topic === "quotes:AAPL" ? data?.lp : undefined;
}
