/**
 * {title}: React hooks for the typed client.
 *
 * Written by fastws from the AsyncAPI document, for a file next to `client.ts`. In a component:
 *
 *     const api = useApi();
 *     {example}
 */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import {
  connect,
  type Api,
  type ApiState,
  type ConnectOptions,
  type PayloadOf,
  type RequestMap,
  type StreamMap,
  type TopicUpdate,
} from "./client.ts";

/** What a component sees of a topic. */
export interface TopicView<F> {
  /** The newest payload, once there is one. */
  readonly data: PayloadOf<F> | undefined;
  /** The newest update as a whole: `topic`, `snapshot`, `offset` and `skipped` stand beside its payload. */
  readonly frame: TopicUpdate<F> | undefined;
  /** Whether `data` is the state that the subscription began with, or began anew with after a reconnect. */
  readonly isSnapshot: boolean;
  /** How the connection is; what was seen last stays in `data` while it is away. */
  readonly state: ApiState;
  /** Why there are no more updates. */
  readonly error: Error | undefined;
}

export interface UseTopicOptions<F> {
  /** Sees every update, also those that come faster than components are drawn: for charts and order books. */
  readonly onUpdate?: ((payload: PayloadOf<F>, frame: TopicUpdate<F>) => void) | undefined;
}

/**
 * Connects while the component is there, and closes when it goes; `undefined` until then. Most applications do this
 * once, near the top, and hand the API down. Another `url` is another connection; other options count from the first
 * time on.
 */
export function useApi(options: ConnectOptions = {}): Api | undefined {
  const [api, setApi] = useState<Api>();
  const url = options.url?.toString();
  const latest = useRef(options);
  useEffect(() => {
    const opened = connect({ ...latest.current, url });
    setApi(opened);
    return () => {
      setApi(undefined);
      void opened.close();
    };
  }, [url]);
  return api;
}

/** How the connection is; `connecting` while there is none. */
export function useApiState(api: Api | undefined): ApiState {
  const state = (): ApiState => api?.state ?? "connecting";
  return useSyncExternalStore((changed) => api?.onState(changed) ?? (() => {}), state, state);
}

/**
 * Subscribes while the component is there: `operation` names the subscribe request, `params` are its payload and are
 * compared by value. Components with equal params share one subscription.
 */
export function useTopic<N extends keyof StreamMap>(
  api: Api | undefined,
  operation: N,
  params: RequestMap[N]["payload"],
  options: UseTopicOptions<StreamMap[N]> = {},
): TopicView<StreamMap[N]> {
  const [seen, setSeen] = useState<Seen<StreamMap[N]>>(NOTHING);
  const onUpdate = useRef(options.onUpdate);
  useEffect(() => {
    onUpdate.current = options.onUpdate;
  });
  const key = JSON.stringify(params ?? null);
  useEffect(() => {
    if (api === undefined) return;
    const gone = new AbortController();
    const follow = async () => {
      const updates = api.stream(operation, params, { signal: gone.signal, overflow: "drop-oldest" }).frames();
      for await (const frame of updates) {
        if (gone.signal.aborted) return;
        onUpdate.current?.(payloadOf(frame), frame);
        setSeen({ frame, error: undefined });
      }
    };
    follow().catch((error: unknown) => {
      if (!gone.signal.aborted) setSeen(({ frame }) => ({ frame, error: error as Error }));
    });
    return () => {
      gone.abort();
      setSeen(NOTHING);
    };
  }, [api, operation, key]);
  const state = useApiState(api);
  const { frame, error } = seen;
  const data = frame === undefined ? undefined : payloadOf(frame);
  const isSnapshot = (frame as { snapshot?: boolean } | undefined)?.snapshot === true;
  return { data, frame, isSnapshot, state, error };
}

interface Seen<F> {
  readonly frame: TopicUpdate<F> | undefined;
  readonly error: Error | undefined;
}

const NOTHING = { frame: undefined, error: undefined };

function payloadOf<F>(frame: TopicUpdate<F>): PayloadOf<F> {
  return (frame as { payload?: unknown }).payload as PayloadOf<F>;
}
