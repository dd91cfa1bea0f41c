// A page that follows topics with the hooks, for `browser.test.ts` to look at.

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import type { Api } from "./generated/client.ts";
import { useApi, useTopic } from "./generated/useTopic.ts";

function Close({ api, symbol }: { api: Api | undefined; symbol: string }) {
  const [snapshots, setSnapshots] = useState(0);
  const { data, state, error } = useTopic(api, "bars.subscribe", { symbol, resolution: "1" }, {
    onUpdate: (_, { snapshot }) => snapshot === true && setSnapshots((before) => before + 1),
  });
  return (
    <output data-state={state} data-snapshots={snapshots}>
      {error !== undefined ? `${error.name}: ${error.message}` : data === undefined ? "…" : `${symbol} ${data.close.toFixed(2)}`}
    </output>
  );
}

function Page() {
  const api = useApi({ url: "/api/v1/ws", reconnect: { base: 20 } });
  const [symbols, setSymbols] = useState(["AAPL", "AAPL"]);
  Object.assign(window, { api, setSymbols });
  return symbols.map((symbol, place) => <Close key={place} api={api} symbol={symbol} />);
}

createRoot(document.body).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
