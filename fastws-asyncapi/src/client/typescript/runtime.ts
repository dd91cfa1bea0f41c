// This part is the same in every client. Above the line below stands what the generated part provides, so that this
// file can be checked alone; only what follows the line is written into a client.

interface RequestMap {
  "bars.subscribe": { payload: { symbol: string }; reply: { topic: string } };
  info: { payload?: undefined; reply: { client_id: string } };
}
interface StreamMap {
  "bars.subscribe": { type: "bars.update"; topic: string; payload: number };
}
interface EventMap {
  "bars.update": { type: "bars.update"; topic: string; payload: number };
  bye: { type: "bye" };
}
type ApiErrorCode = string;

// ---- The runtime begins here ----

/** How a client connects. Everything has a default. */
export interface ConnectOptions {
  /** Where to connect to: `wss://…`, or a path on the server that the page came from. */
  url?: string | URL | undefined;
  /** Who connects. A function is asked anew at each connect. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** The class of the socket, where there is no global one: `import { WebSocket } from "ws"` in Node 20. */
  WebSocket?: SocketClass | undefined;
  /** How long a request waits for its reply, in milliseconds; 10,000 by default. */
  timeout?: number | undefined;
  /** How long one attempt to connect may take, in milliseconds; 10,000 by default. */
  openTimeout?: number | undefined;
  /** How many requests may wait for their replies at once; 15 by default. More wait for their turn. */
  inFlight?: number | undefined;
  /** When to connect again. */
  reconnect?: ReconnectOptions | undefined;
  /** How a dead connection is noticed; `false` for not at all. */
  heartbeat?: HeartbeatOptions | false | undefined;
  /** Told what happens, for a log of your own. */
  log?: ((message: string, details?: unknown) => void) | undefined;
  /** A number from 0 up to 1, in place of `Math.random`. */
  random?: (() => number) | undefined;
  /** In place of the global timers. */
  timers?: Timers | undefined;
}

/** The wait before attempt n is random, up to `base * 2 ** n` and at most `max`. */
export interface ReconnectOptions {
  /** Milliseconds; 250 by default. */
  base?: number | undefined;
  /** Milliseconds; 30,000 by default. */
  max?: number | undefined;
  /** How many attempts in a row may fail before the client gives up; it never does by default. */
  attempts?: number | undefined;
  /** After how many milliseconds an open connection counts as stable, so that counting begins anew; 5,000. */
  stableAfter?: number | undefined;
}

/** A connection that is quiet is asked for a sign of life. */
export interface HeartbeatOptions {
  /** After how many milliseconds of quiet, in either direction; half of what the server allows by default. */
  interval?: number | undefined;
  /** How many milliseconds the sign may take before the connection counts as dead; 10,000 by default. */
  timeout?: number | undefined;
}

export interface RequestOptions {
  /** How long to wait for the reply, in milliseconds. */
  timeout?: number | undefined;
  /** Gives up the request: it is rejected with the signal's reason, and a late reply is ignored. */
  signal?: AbortSignal | undefined;
}

export interface StreamOptions {
  /** Ends the stream; the loop ends as if there were no more updates. */
  signal?: AbortSignal | undefined;
  /** How many updates may wait for a slow loop; 10,000 by default. */
  buffer?: number | undefined;
  /** What happens when more would wait: the loop throws a {@link BufferOverflow} (the default), or the oldest update
   * goes, and counts in `skipped` of the next one. */
  overflow?: "error" | "drop-oldest" | undefined;
}

/** `connecting` and `open` speak for themselves; `waiting` is between two attempts; `closed` is for good. */
export type ApiState = "connecting" | "open" | "waiting" | "closed";

/** How a connection ended. 1006 stands for an end without a goodbye. */
export interface CloseInfo {
  readonly code: number;
  readonly reason: string;
}

/** What became of a subscription that the client holds. */
export interface SubscriptionChange {
  /** The request that began it, and its payload. */
  readonly operation: keyof StreamMap;
  readonly payload: unknown;
  readonly topics: readonly string[];
  /** `subscribed` is told again after each reconnect; `lost` means that it does not come back by itself. */
  readonly kind: "subscribed" | "lost";
  /** Whether the server sent everything that was missed; absent where the topic keeps no history. */
  readonly recovered?: boolean;
  /** Why it is lost. */
  readonly error?: Error;
}

/** An update with what may stand beside its payload. */
export type TopicUpdate<F> = F & {
  readonly topic?: string;
  /** Whether it is the state that a subscription begins with. */
  readonly snapshot?: boolean;
  /** Its number within the topic, where the topic keeps count. */
  readonly offset?: number;
  /** How many updates before this one were left out. */
  readonly skipped?: number;
};

/** The updates of one subscription. Each loop over it subscribes; loops with equal payloads share a subscription. */
export interface TopicStream<F> extends AsyncIterable<PayloadOf<F>> {
  /** The same with `topic`, `snapshot`, `offset` and `skipped` beside each payload. */
  frames(): AsyncIterable<TopicUpdate<F>>;
}

/** What a frame carries. */
export type PayloadOf<F> = F extends { payload?: infer P } ? P : undefined;

/** The server has refused a request, or a topic has failed. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** A stable word for programs. */
  readonly code: ApiErrorCode;
  /** The operation that was asked for. */
  readonly operation: string | undefined;
  /** What is wrong in the payload, field by field; `path` is a JSON Pointer. */
  readonly details: readonly { readonly path: string; readonly message: string }[];
  /** When to try again, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor({ code, message, operation, details, retry_after_ms }: WireError = {}) {
    super(message ?? code ?? "the server gave no reason");
    this.code = code ?? "";
    this.operation = operation ?? undefined;
    this.details = details ?? [];
    this.retryAfterMs = retry_after_ms ?? undefined;
  }
}

/** No reply came in time. The server may have done what was asked all the same. */
export class RequestTimeout extends Error {
  override readonly name = "RequestTimeout";
  readonly operation: string;

  constructor(operation: string, milliseconds: number) {
    super(`no reply to \`${operation}\` came within ${milliseconds} ms`);
    this.operation = operation;
  }
}

/** The connection broke before the reply came. The client connects again, but sends no request twice. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  readonly close: CloseInfo;

  constructor(close: CloseInfo) {
    super(`the connection was lost before the reply came: ${told(close)}`);
    this.close = close;
  }
}

/** The connection has ended for good, and this is why. */
export class ConnectionClosed extends Error {
  override readonly name = "ConnectionClosed";
  readonly close: CloseInfo;

  constructor(message: string, close: CloseInfo, cause?: unknown) {
    super(message, { cause });
    this.close = close;
  }
}

/** The server has ended a subscription, and it makes no sense to subscribe again. */
export class SubscriptionEnded extends Error {
  override readonly name = "SubscriptionEnded";
  readonly topic: string;
  /** `topic_ended` or another reason. */
  readonly code: string;

  constructor(topic: string, code: string) {
    super(`the server has ended the subscription to \`${topic}\`: ${code}`);
    this.topic = topic;
    this.code = code;
  }
}

/** A loop over a stream was too slow for its buffer. */
export class BufferOverflow extends Error {
  override readonly name = "BufferOverflow";

  constructor(operation: string, limit: number) {
    super(`more than ${limit} updates of \`${operation}\` wait for their loop`);
  }
}

/**
 * One WebSocket that comes back by itself, with its subscriptions.
 *
 * Requests may be made at any time: they wait for the connection, within their timeout. When it breaks, what waits for
 * a reply is rejected with {@link ConnectionLost}; only subscriptions are asked for again.
 */
export class ApiConnection {
  readonly #wire: WireDescription;
  readonly #url: string;
  readonly #socketClass: SocketClass;
  readonly #token: ConnectOptions["token"];
  readonly #timeout: number;
  readonly #openTimeout: number;
  readonly #inFlight: number;
  readonly #reconnect: { base: number; max: number; attempts: number; stableAfter: number };
  readonly #heartbeat: { interval: number; timeout: number } | undefined;
  readonly #log: (message: string, details?: unknown) => void;
  readonly #random: () => number;
  readonly #timers: Timers;

  #state: ApiState = "connecting";
  #socket: Socket | undefined;
  /** The attempt to connect that counts, until it has succeeded or failed. */
  #opening: object | undefined;
  /** Why everything is over, once it is. */
  #ending: Error | undefined;
  #lastClose: CloseInfo | undefined;
  #attempts = 0;
  /** When the server wants to see the client again, if it said so. */
  #comeBackAfter: number | undefined;
  #openedAt = 0;
  #lastSent = 0;
  #lastReceived = 0;
  /** What opens or reopens the connection, or notices that it is dead. */
  #timer: unknown;

  #lastId = 0;
  readonly #unsent = new Set<PendingRequest>();
  readonly #pending = new Map<string, PendingRequest>();
  readonly #held = new Map<string, HeldSubscription>();
  readonly #topics = new Map<string, TopicPosition>();
  readonly #listeners = new Map<string, Set<(payload: never, frame: never) => void>>();
  readonly #stateListeners = new Set<(state: ApiState) => void>();
  readonly #subscriptionListeners = new Set<(change: SubscriptionChange) => void>();

  constructor(wire: WireDescription, options: ConnectOptions) {
    this.#wire = wire;
    this.#url = resolveUrl(options.url ?? wire.url ?? wire.path);
    this.#socketClass = options.WebSocket ?? globalSocketClass();
    this.#token = options.token;
    this.#timeout = options.timeout ?? 10_000;
    this.#openTimeout = options.openTimeout ?? 10_000;
    // A server of fastws lets 16 requests wait, and a heartbeat is one of them.
    this.#inFlight = options.inFlight ?? 15;
    const { base = 250, max = 30_000, attempts = Infinity, stableAfter = 5_000 } = options.reconnect ?? {};
    this.#reconnect = { base, max, attempts, stableAfter };
    if (options.heartbeat !== false && wire.ping !== undefined) {
      const { interval = wire.heartbeat === undefined ? undefined : wire.heartbeat * 500, timeout = 10_000 } =
        options.heartbeat ?? {};
      this.#heartbeat = interval === undefined ? undefined : { interval, timeout };
    }
    this.#log = options.log ?? (() => {});
    this.#random = options.random ?? Math.random;
    this.#timers = options.timers ?? GLOBAL_TIMERS;
    pageEvents.addEventListener?.("online", this.#wake);
    void this.#dial();
  }

  /** How the connection is. */
  get state(): ApiState {
    return this.#state;
  }

  /** How the last connection ended, if one did. */
  get lastClose(): CloseInfo | undefined {
    return this.#lastClose;
  }

  /** How many attempts in a row have failed. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Waits until the connection is open; rejected when it never will be. */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        if (this.#state === "open") resolve();
        else if (this.#ending !== undefined) reject(this.#ending);
        else return false;
        return true;
      };
      if (look()) return;
      const off = this.onState(() => {
        if (look()) off();
      });
    });
  }

  /** Sends a request and waits for its reply. */
  async request<N extends keyof RequestMap>(
    operation: N,
    payload: RequestMap[N]["payload"],
    options: RequestOptions = {},
  ): Promise<RequestMap[N]["reply"]> {
    const reply = await this.#ask(operation, payload, options, (frame) => this.#note(operation, payload, frame));
    return reply.payload as RequestMap[N]["reply"];
  }

  /** The updates that a subscribe request brings, for as long as somebody loops over them. */
  stream<N extends keyof StreamMap>(
    operation: N,
    payload: RequestMap[N]["payload"],
    options: StreamOptions = {},
  ): TopicStream<StreamMap[N]> {
    const open = () => this.#join(operation, payload, options);
    return {
      frames: () => ({ [Symbol.asyncIterator]: open }) as AsyncIterable<TopicUpdate<StreamMap[N]>>,
      [Symbol.asyncIterator]: () => payloads(open()) as AsyncIterator<PayloadOf<StreamMap[N]>>,
    };
  }

  /** Calls `listener` with each message of a type, whatever asked for it. The returned function ends that. */
  on<N extends keyof EventMap>(
    type: N,
    listener: (payload: PayloadOf<EventMap[N]>, frame: TopicUpdate<EventMap[N]>) => void,
  ): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Calls `listener` whenever the state changes. The returned function ends that. */
  onState(listener: (state: ApiState) => void): () => void {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }

  /** Calls `listener` whenever a subscription begins, comes back or is lost. The returned function ends that. */
  onSubscription(listener: (change: SubscriptionChange) => void): () => void {
    this.#subscriptionListeners.add(listener);
    return () => void this.#subscriptionListeners.delete(listener);
  }

  /** Ends everything: requests are rejected, loops over streams end. Resolved when the socket is closed. */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#finish(new ConnectionClosed("the client has closed the connection", { code: 1000, reason: "" }), true);
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      const tooLate = this.#timers.setTimeout(() => {
        socket.terminate?.();
        resolve();
      }, CLOSE_TIMEOUT);
      socket.onmessage = null;
      socket.onclose = () => {
        this.#timers.clearTimeout(tooLate);
        resolve();
      };
      socket.close(1000);
    });
  }

  // Connecting

  async #dial(): Promise<void> {
    const attempt = {};
    this.#opening = attempt;
    this.#timer = this.#after(this.#openTimeout, () => this.#fail(attempt, "the connection took too long to open"));
    this.#enter("connecting");
    let socket: Socket;
    try {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      // It may have been closed meanwhile, or have taken too long.
      if (this.#opening !== attempt) return;
      const { url, protocols } = authorized(this.#url, token, this.#wire.tokenQuery);
      socket = protocols === undefined ? new this.#socketClass(url) : new this.#socketClass(url, protocols);
    } catch (error) {
      if (error instanceof ConnectionClosed) this.#finish(error);
      else this.#fail(attempt, `no attempt could be made: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => this.#open(socket);
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#lose(socket, { code: event.code ?? 1006, reason: event.reason ?? "" });
    // What went wrong is in the close event that follows.
    socket.onerror = () => {};
  }

  #fail(attempt: object, reason: string): void {
    if (this.#opening !== attempt) return;
    if (this.#socket !== undefined) this.#abandon(this.#socket, reason);
    else this.#retry({ code: 1006, reason });
  }

  #open(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#opening = undefined;
    this.#timers.clearTimeout(this.#timer);
    this.#comeBackAfter = undefined;
    this.#openedAt = this.#lastSent = this.#lastReceived = this.#timers.now();
    this.#beat();
    this.#enter("open");
    for (const held of this.#held.values()) void this.#settle(held);
    this.#flush();
  }

  /** Treats a socket that no longer answers as closed, without waiting for its goodbye. */
  #abandon(socket: Socket, reason: string): void {
    this.#lose(socket, { code: 1006, reason });
    if (socket.terminate !== undefined) socket.terminate();
    else socket.close();
  }

  #lose(socket: Socket, close: CloseInfo): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    const isStable = this.#timers.now() - this.#openedAt >= this.#reconnect.stableAfter;
    if (this.#state === "open" && isStable) this.#attempts = 0;
    this.#retry(close);
  }

  #retry(close: CloseInfo): void {
    this.#opening = undefined;
    this.#timers.clearTimeout(this.#timer);
    this.#lastClose = close;
    this.#log(`the connection has ended: ${told(close)}`, close);
    for (const position of this.#topics.values()) position.isLive = position.isLost = false;
    for (const held of this.#held.values()) held.isLive = held.mustRejoin = false;
    if (isFinal(close.code)) {
      const meaning = close.reason || this.#wire.closeCodes[close.code];
      this.#finish(new ConnectionClosed(`the server has closed the connection: ${told(close, meaning)}`, close));
      return;
    }
    if (this.#attempts >= this.#reconnect.attempts) {
      const message = `no connection after ${this.#attempts} attempts to come back: ${told(close)}`;
      this.#finish(new ConnectionClosed(message, close));
      return;
    }
    const delay = this.#comeBackAfter ?? this.#backOff(this.#attempts);
    this.#comeBackAfter = undefined;
    this.#attempts += 1;
    // This timer keeps a Node program alive: a client that waits is not done.
    this.#timer = this.#timers.setTimeout(this.#wake, delay);
    this.#enter("waiting");
    for (const request of [...this.#pending.values()]) request.reject(new ConnectionLost(close));
  }

  /** Connects again at once, as the page is online again or the wait is over. */
  readonly #wake = (): void => {
    if (this.#state !== "waiting") return;
    this.#timers.clearTimeout(this.#timer);
    void this.#dial();
  };

  #finish(ending: Error, isWanted = false): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#opening = undefined;
    this.#timers.clearTimeout(this.#timer);
    pageEvents.removeEventListener?.("online", this.#wake);
    for (const request of [...this.#pending.values(), ...this.#unsent]) request.reject(ending);
    for (const held of [...this.#held.values()]) this.#conclude(held, isWanted ? undefined : ending);
    this.#enter("closed");
  }

  #enter(state: ApiState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell(this.#stateListeners, state);
  }

  /** Full jitter: clients that were lost together do not come back together. */
  #backOff(attempt: number): number {
    return this.#random() * Math.min(this.#reconnect.max, this.#reconnect.base * 2 ** attempt);
  }

  /** A timer that does not keep a Node program alive by itself. */
  #after(milliseconds: number, act: () => void): unknown {
    const timer = this.#timers.setTimeout(act, milliseconds);
    (timer as { unref?: () => void }).unref?.();
    return timer;
  }

  // Signs of life

  #beat(): void {
    const heartbeat = this.#heartbeat;
    const socket = this.#socket;
    if (heartbeat === undefined || socket === undefined) return;
    const quiet = this.#timers.now() - Math.min(this.#lastSent, this.#lastReceived);
    if (quiet < heartbeat.interval) {
      this.#timer = this.#after(heartbeat.interval - quiet, () => this.#beat());
      return;
    }
    const askedAt = this.#timers.now();
    this.#send({ type: this.#wire.ping, id: String(++this.#lastId) });
    this.#timer = this.#after(heartbeat.timeout, () => {
      if (this.#lastReceived >= askedAt) this.#beat();
      else this.#abandon(socket, `no sign of life for ${heartbeat.interval + heartbeat.timeout} ms`);
    });
  }

  // Requests

  /** Sends a request. `accept` sees the reply before any frame that follows it. */
  #ask(
    operation: string,
    payload: unknown,
    { timeout = this.#timeout, signal, recover }: RequestOptions & { recover?: WireRecover | undefined },
    accept: (reply: WireFrame) => void,
  ): Promise<WireFrame> {
    return new Promise((resolve, reject) => {
      if (this.#ending !== undefined) return reject(this.#ending);
      if (signal?.aborted === true) return reject(signal.reason);
      const id = String(++this.#lastId);
      const { hasId } = this.#wire.requests[operation]!;
      const text = JSON.stringify({ type: operation, id: hasId ? id : undefined, recover, payload });
      const settle = () => {
        this.#timers.clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#unsent.delete(request);
        if (this.#pending.delete(id)) this.#flush();
      };
      const request: PendingRequest = {
        id,
        operation,
        text,
        resolve: (reply) => {
          settle();
          accept(reply);
          resolve(reply);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const abort = () => request.reject(signal?.reason);
      const timer = this.#after(timeout, () => request.reject(new RequestTimeout(operation, timeout)));
      signal?.addEventListener("abort", abort);
      this.#unsent.add(request);
      this.#flush();
    });
  }

  /** Sends what waits, as far as it may. */
  #flush(): void {
    for (const request of this.#unsent) {
      if (this.#state !== "open" || this.#ending !== undefined || this.#pending.size >= this.#inFlight) return;
      this.#write(request);
    }
  }

  #write(request: PendingRequest): void {
    this.#unsent.delete(request);
    this.#pending.set(request.id, request);
    this.#send(request.text);
    // Nothing answers a request that has no reply; if it is refused, that is told as an `error` event.
    if (this.#wire.requests[request.operation]!.reply === undefined) request.resolve({ type: "" });
  }

  #send(message: string | object): void {
    this.#lastSent = this.#timers.now();
    this.#socket?.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** The request that a frame answers: the one of its id, or the oldest that could carry none. */
  #answered(frame: WireFrame): PendingRequest | undefined {
    if (frame.id !== undefined && frame.id !== null) return this.#pending.get(String(frame.id));
    const refused = frame.type === "error" ? (frame.payload as WireError | undefined)?.operation : undefined;
    return [...this.#pending.values()].find(({ operation }) => {
      const { hasId, reply } = this.#wire.requests[operation]!;
      return !hasId && (refused === operation || frame.type === reply);
    });
  }

  // Frames

  #receive(socket: Socket, data: unknown): void {
    if (socket !== this.#socket) return;
    this.#lastReceived = this.#timers.now();
    const frame = readFrame(data);
    if (frame === undefined) {
      this.#log("the server has sent what is no frame", data);
      return;
    }
    const request = this.#answered(frame);
    if (request !== undefined) {
      if (frame.type === "error") request.reject(new ApiError(frame.payload as WireError | undefined));
      else request.resolve(frame);
      return;
    }
    if (frame.type === "draining") this.#drain(frame);
    else if (frame.type === "error") this.#topicFailed(frame);
    else if (frame.type === "unsubscribed") this.#unsubscribed(frame);
    else if (!this.#deliver(frame)) return;
    const listeners = this.#listeners.get(frame.type) as Set<(payload: unknown, frame: WireFrame) => void> | undefined;
    if (listeners !== undefined) this.#tell(listeners, frame.payload, frame);
  }

  /** Gives an update to the streams of its topic; says whether it counts. */
  #deliver(frame: WireFrame): boolean {
    const position = frame.topic === undefined ? undefined : this.#topics.get(frame.topic);
    if (position !== undefined && !this.#isNext(position, frame)) return false;
    for (const held of position?.holders ?? this.#held.values()) {
      // A reply that names no topic leaves only the type to go by.
      if (position === undefined && (held.topics.size > 0 || !held.isLive)) continue;
      if (!this.#wire.requests[held.operation]!.updates!.includes(frame.type)) continue;
      held.failures = 0;
      for (const queue of held.queues) if (queue.isAttached) queue.push(frame);
    }
    return true;
  }

  /** Keeps the law `offset == previous + 1 + skipped`. A gap is mended by subscribing again. */
  #isNext(position: TopicPosition, frame: WireFrame): boolean {
    if (position.isLost) return false;
    if (frame.snapshot === true) position.hasSnapshot = true;
    if (typeof frame.offset !== "number") return true;
    const { offset } = position;
    if (frame.snapshot !== true && offset !== undefined) {
      if (frame.offset <= offset) return false;
      if (frame.offset !== offset + 1 + (frame.skipped ?? 0)) {
        this.#log("updates are missing: the client subscribes again", { topic: position.topic, after: offset, frame });
        position.isLost = true;
        const [held] = position.holders;
        if (held !== undefined) this.#rejoin(held);
        return false;
      }
    }
    position.offset = frame.offset;
    return true;
  }

  #drain(frame: WireFrame): void {
    const { retry_after_ms } = (frame.payload ?? {}) as { retry_after_ms?: number };
    if (typeof retry_after_ms === "number") this.#comeBackAfter = retry_after_ms;
    this.#log("the server is about to close the connection", frame.payload);
  }

  #topicFailed(frame: WireFrame): void {
    const error = new ApiError(frame.payload as WireError | undefined);
    this.#log(`the server has told an error: ${error.message}`, frame);
    const position = frame.topic === undefined ? undefined : this.#topics.get(frame.topic);
    if (position === undefined) return;
    if (error.retryAfterMs === undefined) this.#lapse(position, error);
    // It starts again by itself, as another incarnation that counts from the beginning.
    else position.epoch = position.offset = undefined;
  }

  #unsubscribed(frame: WireFrame): void {
    const position = frame.topic === undefined ? undefined : this.#topics.get(frame.topic);
    if (position === undefined) return;
    const { code = "", resubscribe } = (frame.payload ?? {}) as { code?: string; resubscribe?: boolean };
    position.isLive = false;
    if (resubscribe !== true) {
      this.#lapse(position, new SubscriptionEnded(position.topic, code));
      return;
    }
    for (const held of position.holders) {
      held.isLive = false;
      this.#askAgain(held, undefined);
    }
  }

  /** A topic is no more. */
  #lapse(position: TopicPosition, error: Error): void {
    for (const held of [...position.holders]) {
      this.#releaseTopic(held, position.topic);
      if (held.topics.size === 0) this.#drop(held, error);
      else this.#announce(held, { topics: [position.topic], kind: "lost", error });
    }
  }

  // Subscriptions

  /** Remembers what a request of the application's own has done to subscriptions. */
  #note(operation: string, payload: unknown, reply: WireFrame): void {
    const { updates, ends } = this.#wire.requests[operation]!;
    if (updates !== undefined) {
      const held = this.#hold(operation as keyof StreamMap, payload);
      held.isExplicit = true;
      held.endings.length = 0;
      this.#began(held, reply);
      void this.#settle(held);
    } else if (ends !== undefined) {
      const topics = topicsOf(reply);
      for (const held of [...this.#held.values()]) this.#noteEnding(held, ends, { operation, payload }, topics);
    }
  }

  #noteEnding(held: HeldSubscription, ends: string, ending: Ending, topics: string[]): void {
    const ended = topics.filter((topic) => held.topics.has(topic));
    for (const topic of ended) this.#releaseTopic(held, topic);
    const isOver =
      ends === "*"
        ? held.hasBegun
        : topics.length === 0
          ? this.#unsubscribeOf(held) === ending.operation && held.key === keyOf(held.operation, ending.payload)
          : ended.length > 0 && held.topics.size === 0;
    if (isOver) this.#conclude(held);
    // A part of what one request began: after a reconnect both are said again.
    else if (ended.length > 0) held.endings.push(ending);
  }

  #hold(operation: keyof StreamMap, payload: unknown): HeldSubscription {
    const key = keyOf(operation, payload);
    const known = this.#held.get(key);
    if (known !== undefined) return known;
    const held: HeldSubscription = {
      key,
      operation,
      payload,
      topics: new Set(),
      queues: new Set(),
      endings: [],
      isExplicit: false,
      isLive: false,
      hasBegun: false,
      isSettling: false,
      mustRejoin: false,
      failures: 0,
      timer: undefined,
    };
    this.#held.set(key, held);
    return held;
  }

  /** Opens one loop over a subscription. */
  #join(operation: keyof StreamMap, payload: unknown, options: StreamOptions): AsyncIterator<WireFrame, undefined> {
    const { signal, buffer = 10_000, overflow = "error" } = options;
    const queue = new FrameQueue(operation, buffer, overflow === "drop-oldest");
    if (this.#ending !== undefined || signal?.aborted === true) {
      queue.end(this.#ending);
      return queue;
    }
    const held = this.#hold(operation, payload);
    const abort = () => void queue.return();
    queue.onEnd = () => {
      signal?.removeEventListener("abort", abort);
      if (held.queues.delete(queue)) void this.#settle(held);
    };
    signal?.addEventListener("abort", abort);
    held.queues.add(queue);
    // The server sends a snapshot once to each subscriber, so one who comes later makes the client subscribe again.
    if (held.isLive && this.#hasSnapshot(held)) this.#rejoin(held);
    else queue.isAttached = held.isLive;
    void this.#settle(held);
    return queue;
  }

  /** Brings a subscription to where it should be: subscribed while somebody wants it, and not otherwise. */
  async #settle(held: HeldSubscription): Promise<void> {
    if (held.isSettling) return;
    held.isSettling = true;
    this.#timers.clearTimeout(held.timer);
    while (this.#state === "open" && this.#held.get(held.key) === held) {
      const isWanted = held.isExplicit || held.queues.size > 0;
      if (held.isLive && (held.mustRejoin || !isWanted)) await this.#leave(held);
      else if (!held.isLive && isWanted) {
        if (!(await this.#subscribe(held))) break;
      } else break;
    }
    held.isSettling = false;
    if (!held.isExplicit && held.queues.size === 0 && this.#held.get(held.key) === held) this.#forget(held);
  }

  /** Asks for a subscription; says whether the answer has come. */
  async #subscribe(held: HeldSubscription): Promise<boolean> {
    try {
      const recover = this.#recover(held);
      await this.#ask(held.operation, held.payload, { recover }, (reply) => this.#began(held, reply));
      for (const { operation, payload } of held.endings) {
        await this.#ask(operation, payload, {}, (reply) => {
          for (const topic of topicsOf(reply)) this.#releaseTopic(held, topic);
        });
      }
      return true;
    } catch (error) {
      if (error instanceof ConnectionLost || error instanceof ConnectionClosed) return false;
      const positions = this.#positions(held);
      if (held.hasBegun && isPassing(error, held.failures)) this.#askAgain(held, error);
      else this.#drop(held, error as Error);
      this.#revive(positions, held);
      return false;
    }
  }

  #askAgain(held: HeldSubscription, error: unknown): void {
    const delay = (error instanceof ApiError ? error.retryAfterMs : undefined) ?? this.#backOff(held.failures);
    held.failures += 1;
    this.#timers.clearTimeout(held.timer);
    held.timer = this.#after(delay, () => void this.#settle(held));
  }

  /** Where to go on, if the topic keeps a history and nobody new waits for its snapshot. */
  #recover(held: HeldSubscription): WireRecover | undefined {
    const [position, another] = this.#positions(held);
    if (another !== undefined || position?.epoch === undefined || position.offset === undefined) return undefined;
    if ([...held.queues].some((queue) => !queue.isAttached)) return undefined;
    return { epoch: position.epoch, offset: position.offset };
  }

  /** A subscribe reply has come. */
  #began(held: HeldSubscription, reply: WireFrame): void {
    const topics = topicsOf(reply);
    for (const topic of held.topics) if (!topics.includes(topic)) this.#releaseTopic(held, topic);
    let wasLive = false;
    for (const topic of topics) {
      const position = this.#topics.get(topic) ?? newPosition(topic);
      this.#topics.set(topic, position);
      position.holders.add(held);
      held.topics.add(topic);
      wasLive ||= position.isLive && position.hasSnapshot;
      position.isLive = true;
      position.isLost = false;
      if (topics.length === 1) position.epoch = reply.epoch;
      if (reply.recovered !== true) position.offset = topics.length === 1 ? reply.offset : undefined;
    }
    const isNewcomer = [...held.queues].some((queue) => !queue.isAttached);
    held.isLive = true;
    held.hasBegun = true;
    if (isNewcomer && wasLive && this.#unsubscribeOf(held) !== undefined) held.mustRejoin = true;
    else for (const queue of held.queues) queue.isAttached = true;
    const recovered = typeof reply.recovered === "boolean" ? { recovered: reply.recovered } : {};
    this.#announce(held, { topics, kind: "subscribed", ...recovered });
  }

  /** Subscribes anew, so that the topic is told from its state or from where it broke off. */
  #rejoin(held: HeldSubscription): void {
    if (this.#unsubscribeOf(held) === undefined) held.isLive = false;
    else held.mustRejoin = true;
    void this.#settle(held);
  }

  async #leave(held: HeldSubscription): Promise<void> {
    const unsubscribe = this.#unsubscribeOf(held);
    const positions = this.#positions(held);
    const isWanted = held.isExplicit || held.queues.size > 0;
    const isShared = ({ holders }: TopicPosition) => [...holders].some((other) => other !== held && other.isLive);
    const isNeeded = isWanted || positions.length === 0 || !positions.every(isShared);
    if (unsubscribe !== undefined && isNeeded) {
      const byTopic = this.#wire.requests[held.operation]!.byTopic;
      const payloads = byTopic === undefined ? [held.payload] : positions.map(({ topic }) => fieldsOf(topic, byTopic));
      const ended = () => {
        for (const position of positions) position.isLive = false;
      };
      const asked = payloads.map((payload) => this.#ask(unsubscribe, payload, {}, ended));
      for (const answer of await Promise.allSettled(asked)) {
        if (answer.status === "rejected") this.#log(`\`${unsubscribe}\` failed`, answer.reason);
      }
    }
    held.isLive = held.mustRejoin = false;
    if (!isWanted) this.#revive(positions, held);
  }

  /** Subscribes for others who asked for some of the topics that one has left. */
  #revive(positions: TopicPosition[], left: HeldSubscription): void {
    for (const { isLive, holders } of positions) {
      for (const held of holders) {
        if (isLive || held === left || !held.isLive) continue;
        held.isLive = false;
        void this.#settle(held);
      }
    }
  }

  #drop(held: HeldSubscription, error: Error): void {
    this.#log(`the subscription to \`${held.operation}\` is lost: ${error.message}`, error);
    if (held.isExplicit) this.#announce(held, { topics: [...held.topics], kind: "lost", error });
    this.#conclude(held, error);
  }

  /** Ends the loops over a subscription, and forgets it. */
  #conclude(held: HeldSubscription, error?: Error): void {
    const queues = [...held.queues];
    this.#forget(held);
    for (const queue of queues) queue.end(error);
  }

  #forget(held: HeldSubscription): void {
    this.#timers.clearTimeout(held.timer);
    for (const topic of [...held.topics]) this.#releaseTopic(held, topic);
    held.queues.clear();
    held.isLive = false;
    if (this.#held.get(held.key) === held) this.#held.delete(held.key);
  }

  #releaseTopic(held: HeldSubscription, topic: string): void {
    held.topics.delete(topic);
    const position = this.#topics.get(topic);
    position?.holders.delete(held);
    if (position?.holders.size === 0) this.#topics.delete(topic);
  }

  #positions(held: HeldSubscription): TopicPosition[] {
    return [...held.topics].flatMap((topic) => this.#topics.get(topic) ?? []);
  }

  #hasSnapshot(held: HeldSubscription): boolean {
    return this.#positions(held).some((position) => position.hasSnapshot);
  }

  #unsubscribeOf(held: HeldSubscription): string | undefined {
    return this.#wire.requests[held.operation]!.unsubscribe;
  }

  #announce(held: HeldSubscription, change: Omit<SubscriptionChange, "operation" | "payload">): void {
    this.#tell(this.#subscriptionListeners, { operation: held.operation, payload: held.payload, ...change });
  }

  /** Calls listeners. What one of them throws is the application's to see, and stops nobody else. */
  #tell<A extends unknown[]>(listeners: Iterable<(...told: A) => void>, ...told: A): void {
    for (const listener of [...listeners]) {
      try {
        listener(...told);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** The updates that wait for one loop. */
class FrameQueue implements AsyncIterator<WireFrame, undefined> {
  /** Whether updates are for it; it begins with the first reply after it came. */
  isAttached = false;
  /** Called once, when nobody loops any more. */
  onEnd = (): void => {};
  readonly #operation: string;
  readonly #limit: number;
  readonly #dropsOldest: boolean;
  #frames: WireFrame[] = [];
  #waiting: { resolve: (result: IteratorResult<WireFrame, undefined>) => void; reject: (error: Error) => void }[] = [];
  #ending: { error: Error | undefined } | undefined;

  constructor(operation: string, limit: number, dropsOldest: boolean) {
    this.#operation = operation;
    this.#limit = limit;
    this.#dropsOldest = dropsOldest;
  }

  push(frame: WireFrame): void {
    if (this.#ending !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting.resolve({ value: frame, done: false });
    this.#frames.push(frame);
    if (this.#frames.length <= this.#limit) return;
    if (!this.#dropsOldest) return this.end(new BufferOverflow(this.#operation, this.#limit));
    const dropped = this.#frames.shift();
    const next = this.#frames[0];
    if (next !== undefined) this.#frames[0] = { ...next, skipped: (next.skipped ?? 0) + 1 + (dropped?.skipped ?? 0) };
  }

  /** Lets no more in. What waits already is still told, then the error, if there is one. */
  end(error?: Error): void {
    if (this.#ending !== undefined) return;
    this.#ending = { error };
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error === undefined) resolve({ value: undefined, done: true });
      else reject(error);
    }
    this.onEnd();
  }

  next(): Promise<IteratorResult<WireFrame, undefined>> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve({ value: frame, done: false });
    if (this.#ending === undefined) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const { error } = this.#ending;
    this.#ending = { error: undefined };
    return error === undefined ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }

  return(): Promise<IteratorResult<WireFrame, undefined>> {
    this.#frames = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }
}

/** The payloads of frames. */
function payloads(frames: AsyncIterator<WireFrame, undefined>): AsyncIterator<unknown, undefined> {
  const payload = (result: IteratorResult<WireFrame, undefined>): IteratorResult<unknown, undefined> =>
    result.done === true ? result : { value: result.value.payload, done: false };
  return {
    next: () => frames.next().then(payload),
    return: () => frames.return!().then(payload),
  };
}

/** What the document says of the wire. */
interface WireDescription {
  readonly url?: string;
  readonly path: string;
  /** After how many seconds of silence the server closes. */
  readonly heartbeat?: number;
  /** The operation that asks for a sign of life. */
  readonly ping?: string;
  /** The query parameter that takes a token, where there is no other way. */
  readonly tokenQuery?: string;
  readonly requests: { readonly [operation: string]: WireRequest };
  readonly closeCodes: { readonly [code: number]: string };
}

interface WireRequest {
  readonly reply?: string;
  /** Whether request and reply are paired by an id. */
  readonly hasId: boolean;
  /** What a subscribe request brings, and the request that ends it. */
  readonly updates?: readonly string[];
  readonly unsubscribe?: string;
  /** Where that takes another payload: the topic's template and fields, which make one up. */
  readonly byTopic?: TopicFields;
  /** The template of the topics that a request ends; `*` for all. */
  readonly ends?: string;
}

interface TopicFields {
  readonly template: string;
  readonly fields: { readonly [name: string]: (text: string) => string | number };
}

/** Any frame of the server, before it is known which. */
interface WireFrame {
  readonly type: string;
  readonly id?: string | number | null;
  readonly topic?: string;
  readonly payload?: unknown;
  readonly snapshot?: boolean;
  readonly epoch?: string;
  readonly offset?: number;
  readonly skipped?: number;
  readonly recovered?: boolean;
}

interface WireError {
  readonly code?: string;
  readonly message?: string;
  readonly operation?: string | null;
  readonly details?: { path: string; message: string }[] | null;
  readonly retry_after_ms?: number | null;
}

interface WireRecover {
  readonly epoch: string;
  readonly offset: number;
}

interface PendingRequest {
  readonly id: string;
  readonly operation: string;
  readonly text: string;
  readonly resolve: (reply: WireFrame) => void;
  readonly reject: (error: unknown) => void;
}

/** A subscribe request that is said again after a reconnect, until nobody wants what it brings. */
interface HeldSubscription {
  readonly key: string;
  readonly operation: keyof StreamMap;
  readonly payload: unknown;
  readonly topics: Set<string>;
  readonly queues: Set<FrameQueue>;
  /** Requests that have ended a part of it. */
  readonly endings: Ending[];
  /** Whether the application has subscribed by itself, beside the loops. */
  isExplicit: boolean;
  isLive: boolean;
  /** Whether it has ever been live. */
  hasBegun: boolean;
  isSettling: boolean;
  mustRejoin: boolean;
  failures: number;
  timer: unknown;
}

/** A request that ends a subscription. */
interface Ending {
  readonly operation: string;
  readonly payload: unknown;
}

/** How far a topic was followed. */
interface TopicPosition {
  readonly topic: string;
  readonly holders: Set<HeldSubscription>;
  isLive: boolean;
  /** Whether updates are missing, so that what comes does not count until the topic is subscribed again. */
  isLost: boolean;
  hasSnapshot: boolean;
  epoch: string | undefined;
  offset: number | undefined;
}

function newPosition(topic: string): TopicPosition {
  const unknown = { epoch: undefined, offset: undefined };
  return { topic, holders: new Set(), isLive: false, isLost: false, hasSnapshot: false, ...unknown };
}

/** A frame, if it is one. */
function readFrame(data: unknown): WireFrame | undefined {
  try {
    const frame = JSON.parse(data as string) as WireFrame | null;
    return typeof frame?.type === "string" ? frame : undefined;
  } catch {
    return undefined;
  }
}

/** The topics that a reply names. */
function topicsOf({ payload }: WireFrame): string[] {
  const { topic, topics } = (payload ?? {}) as { topic?: unknown; topics?: unknown };
  const all = [...(Array.isArray(topics) ? topics : []), topic];
  return [...new Set(all.filter((one) => typeof one === "string"))];
}

/** The fields of a topic's name: symbol and resolution of `bars:AAPL:1`. */
function fieldsOf(topic: string, { template, fields }: TopicFields): Record<string, string | number> {
  const literals = template.split(/\{[^}]*\}/).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const texts = new RegExp(`^${literals.join("([^:]*)")}$`).exec(topic) ?? [];
  const read = Object.entries(fields).map(
    ([name, reader], at) => [name, reader(decodeURIComponent(texts[at + 1] ?? ""))] as const,
  );
  return Object.fromEntries(read);
}

/** Equal for equal payloads, in whatever order their members stand. */
function keyOf(operation: string, payload: unknown): string {
  const sorted = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return `${operation} ${JSON.stringify(payload ?? null, sorted)}`;
}

/**
 * Whether a subscription that was granted before may be granted again later. A server that has just started may not
 * know yet what it knew, so an application's own refusals count only when they repeat themselves.
 */
function isPassing(error: unknown, failures: number): boolean {
  if (!(error instanceof ApiError)) return error instanceof RequestTimeout;
  if (error.retryAfterMs !== undefined || PASSING_CODES.includes(error.code)) return true;
  return !LASTING_CODES.includes(error.code) && failures < MOST_REFUSALS;
}

const PASSING_CODES: readonly string[] = [
  "cancelled",
  "deadline_exceeded",
  "internal_error",
  "rate_limited",
  "too_many_in_flight",
  "topic_failed",
  "unavailable",
];

const LASTING_CODES: readonly string[] = [
  "forbidden",
  "invalid_payload",
  "malformed_message",
  "too_many_subscriptions",
  "unauthenticated",
  "unknown_operation",
];

/** With the default back-off this is about a minute. */
const MOST_REFUSALS = 10;

/** Whether a close code means that connecting again would end the same way. */
function isFinal(code: number): boolean {
  return FINAL_CODES.includes(code) || (code >= 4000 && code <= 4099);
}

const FINAL_CODES: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009, 1010];

function told({ code, reason }: CloseInfo, meaning = reason): string {
  return meaning === "" ? String(code) : `${code}, ${meaning}`;
}

function resolveUrl(url: string | URL): string {
  const { location } = globalThis as { location?: { href: string } };
  if (location === undefined && !/^\w+:/.test(String(url))) {
    throw new TypeError(`\`${url}\` leads nowhere without a page: pass the whole address, \`connect({ url: "wss://…" })\``);
  }
  const resolved = new URL(url, location?.href);
  resolved.protocol = resolved.protocol.replace("http", "ws");
  return resolved.href;
}

/** Where to connect to with a token: browsers can set no header, so it stands among the subprotocols. */
function authorized(
  url: string,
  token: string | undefined,
  query: string | undefined,
): { url: string; protocols?: string[] } {
  if (token === undefined) return { url };
  if (query !== undefined) {
    const withToken = new URL(url);
    withToken.searchParams.set(query, token);
    return { url: withToken.href };
  }
  if (!/^[\w!#$%&*+.^|~-]+$/.test(token)) {
    throw new ConnectionClosed("the token has characters that a subprotocol cannot carry", { code: 1006, reason: "" });
  }
  return { url, protocols: ["fastws.v1", `bearer.${token}`] };
}

/** The part of a WebSocket that is used here; the browser's, Node's and that of `ws` have it. */
export interface Socket {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  /** Cuts the connection; only `ws` can. */
  terminate?(): void;
}

export type SocketClass = new (url: string, protocols?: string[]) => Socket;

function globalSocketClass(): SocketClass {
  const { WebSocket } = globalThis as { WebSocket?: SocketClass };
  if (WebSocket === undefined) {
    throw new TypeError(
      "there is no global WebSocket here: pass one, `connect({ WebSocket })`, that the npm package `ws` exports, " +
        "or start Node 20.10 or later with --experimental-websocket",
    );
  }
  return WebSocket;
}

/** Timers, and the milliseconds since some beginning. */
export interface Timers {
  setTimeout(act: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  now(): number;
}

const GLOBAL_TIMERS: Timers = {
  setTimeout: (act, milliseconds) => setTimeout(act, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
  now: () => performance.now(),
};

/** Where a page tells that it is online again; Node has no such place. */
const pageEvents = globalThis as {
  addEventListener?: (type: string, listener: () => void) => void;
  removeEventListener?: (type: string, listener: () => void) => void;
};

/** How long a server may take to say goodbye, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;
