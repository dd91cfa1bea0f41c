/**
 * Orders 2.0.0: a typed client.
 *
 * Orders and balances.
 *
 * Written by fastws from the AsyncAPI document; write it anew when the document changes, and leave it as it is until
 * then.
 *
 *     import { connect } from "./client.ts";
 *
 *     const api = connect();
 *     const reply = await api.v1.balance.subscribe({ account: 7 });
 *     for await (const update of api.v1.balance.stream({ account: 7 })) console.log(update);
 *     await api.close();
 *
 * It connects at once, comes back by itself with its subscriptions when the connection breaks, and ends when `close` is
 * called or the server says not to come back. Browsers and Node 22 have all that it needs; in Node 20 pass the
 * `WebSocket` of the package `ws`.
 */

// -------- What the messages carry

/** Names one account's balance. */
export interface Account {
  /** The account. */
  account: number;
}

/** A stable word for programs. */
export type AnyErrorCode = ErrorCode | ApplicationErrorCode;

/** An error code of this application's own. Of the form `^[a-z][a-z0-9_]*$`. */
export type ApplicationErrorCode = string;

/** When the connection will be closed. */
export interface DrainingPayload {
  /** Milliseconds until it is closed. At least 0. */
  deadline_ms: number;
  /** Milliseconds to wait before connecting again. At least 0. */
  retry_after_ms: number;
}

/** Why a request was refused, in one stable word. */
export type ErrorCode =
  /** The message is not a JSON object with a string `type`. */
  | "malformed_message"
  /** No operation of that name can be sent. */
  | "unknown_operation"
  /** The payload does not decode or breaks a constraint; `details` names each field. */
  | "invalid_payload"
  /** A request with this id is still in flight. */
  | "duplicate_id"
  /** Too many requests of this connection wait for their replies. */
  | "too_many_in_flight"
  /** The operation took too long. */
  | "deadline_exceeded"
  /** The request was cancelled before it was done. */
  | "cancelled"
  /** The operation needs a login. */
  | "unauthenticated"
  /** The login does not allow the operation. */
  | "forbidden"
  /** The login has expired. */
  | "token_expired"
  /** Too many requests; `retry_after_ms` says when to go on. */
  | "rate_limited"
  /** Something that the operation needs is down; `retry_after_ms` says when to try again. */
  | "unavailable"
  /** The connection holds as many subscriptions as it may. */
  | "too_many_subscriptions"
  /** There is no such topic. */
  | "unknown_topic"
  /** The topic's source could not start or has failed; with `retry_after_ms` it starts again by itself. */
  | "topic_failed"
  /** The server failed; the connection lives on. */
  | "internal_error";

/** One thing that is wrong in a payload. */
export interface ErrorDetail {
  /** A JSON Pointer into the payload. */
  path: string;
  /** What is wrong there. */
  message: string;
}

/** Why a request was refused. */
export interface ErrorPayload {
  code: AnyErrorCode;
  /** A sentence for a person. */
  message: string;
  /** The operation that was asked for. */
  operation?: string;
  /** What is wrong, field by field. */
  details?: ErrorDetail[];
  /** When to try again, in milliseconds. At least 0. */
  retry_after_ms?: number;
}

/** Whatever a client wants to have echoed. */
export interface FastwsPing { [key: string]: unknown }

/** What the ping carried, and the server's time. */
export interface FastwsPong {
  /** Milliseconds since the Unix epoch. */
  server_time: number;
  [key: string]: unknown;
}

/** A word for the log, and what was said before. */
export interface Note {
  text: string;
  before: Note | null;
}

/** A word for the log, and what was said before. */
export interface NoteInput {
  text: string;
  before?: NoteInput | null;
}

/** An order, as a client places it. */
export interface Order {
  /** What to trade. 1 to 16 characters, of the form `^[A-Z]+$`. */
  symbol: string;
  /** Which way. */
  side: Side;
  /** How much. At least 0.01. */
  quantity: number;
  /** The worst price to accept; the market's if there is none. */
  limit: number | null;
  /**
   * Words for the log.
   * @default []
   */
  notes: Note[];
}

/** An order, as a client places it. */
export interface OrderInput {
  /** What to trade. 1 to 16 characters, of the form `^[A-Z]+$`. */
  symbol: string;
  /** Which way. */
  side: Side;
  /** How much. At least 0.01. */
  quantity: number;
  /** The worst price to accept; the market's if there is none. */
  limit?: number | null;
  /**
   * Words for the log.
   * @default []
   */
  notes?: NoteInput[];
}

/**
 * The client's own id of a request, at most 64 bytes or an exact integer; echoed in the one answer. At most 64
 * characters.
 */
export type RequestId = string | number;

/** Which way an order goes. */
export type Side =
  | "buy"
  /** Short sales are refused. */
  | "sell";

/** Why a subscription has ended. */
export interface UnsubscribedPayload {
  /** `topic_ended`, `topic_failed` or another reason. */
  code: string;
  /** Whether it makes sense to subscribe again. */
  resubscribe: boolean;
}

/** Payload of `v1.balance.subscribe.response`. */
export interface V1BalanceSubscribeResponsePayload {
  /** Always `ok`; a failure is an `error` frame. */
  status: "ok";
  /** What was done, for a person. */
  message: string;
  /** The topic, as it stands on its updates. */
  topic: string;
  /** The account. */
  account: number;
}

/** Payload of `v1.balance.unsubscribe.response`. */
export interface V1BalanceUnsubscribeResponsePayload {
  /** Always `ok`; a failure is an `error` frame. */
  status: "ok";
  /** What was done, for a person. */
  message: string;
  /** The topic, as it stands on its updates. */
  topic: string;
  /** The account. */
  account: number;
}

// -------- The messages themselves

/** Frame of `ping`. */
export interface PingMessage {
  /** Names the operation. */
  type: "ping";
  id?: RequestId;
  payload?: FastwsPing | null;
}

/** Frame of `v1.balance.subscribe`. */
export interface V1BalanceSubscribeMessage {
  /** Names the operation. */
  type: "v1.balance.subscribe";
  id?: RequestId;
  payload: Account;
}

/** Frame of `v1.balance.unsubscribe`. */
export interface V1BalanceUnsubscribeMessage {
  /** Names the operation. */
  type: "v1.balance.unsubscribe";
  id?: RequestId;
  payload: Account;
}

/**
 * Frame of `v1.orders.cancel_all`.
 * @deprecated
 */
export interface V1OrdersCancelAllMessage {
  /** Names the operation. */
  type: "v1.orders.cancel_all";
  id?: RequestId;
}

/** Frame of `v1.orders.place`. */
export interface V1OrdersPlaceMessage {
  /** Names the operation. */
  type: "v1.orders.place";
  id?: RequestId;
  payload: OrderInput;
}

/** Frame of `pong`. */
export interface PongMessage {
  /** Names the operation. */
  type: "pong";
  id?: RequestId;
  payload: FastwsPong;
}

/** Frame of `v1.balance.subscribe.response`. */
export interface V1BalanceSubscribeResponseMessage {
  /** Names the operation. */
  type: "v1.balance.subscribe.response";
  id?: RequestId;
  payload: V1BalanceSubscribeResponsePayload;
}

/** Frame of `v1.balance.unsubscribe.response`. */
export interface V1BalanceUnsubscribeResponseMessage {
  /** Names the operation. */
  type: "v1.balance.unsubscribe.response";
  id?: RequestId;
  payload: V1BalanceUnsubscribeResponsePayload;
}

/** Frame of `v1.orders.placed`. */
export interface V1OrdersPlacedMessage {
  /** Names the operation. */
  type: "v1.orders.placed";
  id?: RequestId;
  payload: Order;
}

/** Frame of `draining`. */
export interface DrainingMessage {
  /** Names the operation. */
  type: "draining";
  payload: DrainingPayload;
}

/** Frame of `unsubscribed`. */
export interface UnsubscribedMessage {
  /** Names the operation. */
  type: "unsubscribed";
  /** The topic. */
  topic: string;
  payload: UnsubscribedPayload;
}

/** Frame of `v1.balance.update`. */
export interface V1BalanceUpdateMessage {
  /** Names the operation. */
  type: "v1.balance.update";
  /** The topic that this belongs to, as the subscribe reply named it. */
  topic: string;
  /** Set on the state that a new subscriber begins with. */
  snapshot?: true;
  payload: number;
}

/** Frame of `v1.orders.filled`. */
export interface V1OrdersFilledMessage {
  /** Names the operation. */
  type: "v1.orders.filled";
  /** The topic that this belongs to, as the subscribe reply named it. */
  topic?: string;
  payload: Order;
}

/** Frame of `error`. */
export interface ErrorMessage {
  /** Names the operation. */
  type: "error";
  id?: RequestId;
  /** The topic that failed, if the error is about one. */
  topic?: string;
  payload: ErrorPayload;
}

/** Whatever a client may send; `type` tells which. */
export type ClientFrame =
  | PingMessage
  | V1BalanceSubscribeMessage
  | V1BalanceUnsubscribeMessage
  | V1OrdersCancelAllMessage
  | V1OrdersPlaceMessage;

/** Whatever the server sends; `type` tells which. */
export type ServerFrame =
  | PongMessage
  | V1BalanceSubscribeResponseMessage
  | V1BalanceUnsubscribeResponseMessage
  | V1OrdersPlacedMessage
  | DrainingMessage
  | UnsubscribedMessage
  | V1BalanceUpdateMessage
  | V1OrdersFilledMessage
  | ErrorMessage;

// -------- The API

/** The operations, by their names. */
export interface Operations {
  /**
   * Echoes its payload and adds the server's time.
   *
   * Browsers cannot send ping frames; clients measure latency with this operation.
   */
  ping(payload?: FastwsPing | null, options?: RequestOptions): Promise<FastwsPong>;
  readonly v1: {
    readonly balance: {
      /** The balance of an account, in dollars. */
      subscribe(payload: Account, options?: RequestOptions): Promise<V1BalanceSubscribeResponsePayload>;
      /** Stops what v1.balance.subscribe began. */
      unsubscribe(payload: Account, options?: RequestOptions): Promise<V1BalanceUnsubscribeResponsePayload>;
      /** What `v1.balance.subscribe` brings, for as long as somebody loops over it. */
      stream(payload: Account, options?: StreamOptions): TopicStream<V1BalanceUpdateMessage>;
    };
    readonly orders: {
      /**
       * Cancels everything.
       * @deprecated
       */
      cancelAll(options?: RequestOptions): Promise<void>;
      /**
       * Places an order.
       *
       * It is *not* idempotent.
       */
      place(payload: OrderInput, options?: RequestOptions): Promise<Order>;
    };
  };
}

/** What each request carries, and what answers it. */
export interface RequestMap {
  ping: { payload?: FastwsPing | null | undefined; reply: FastwsPong };
  "v1.balance.subscribe": { payload: Account; reply: V1BalanceSubscribeResponsePayload };
  "v1.balance.unsubscribe": { payload: Account; reply: V1BalanceUnsubscribeResponsePayload };
  "v1.orders.cancel_all": { payload?: undefined; reply: undefined };
  "v1.orders.place": { payload: OrderInput; reply: Order };
}

/** The updates that each subscribe request brings. */
export interface StreamMap {
  "v1.balance.subscribe": V1BalanceUpdateMessage;
}

/** What the server sends unasked. */
export interface EventMap {
  draining: DrainingMessage;
  unsubscribed: UnsubscribedMessage;
  "v1.balance.update": V1BalanceUpdateMessage;
  "v1.orders.filled": V1OrdersFilledMessage;
  error: ErrorMessage;
}

/** The words by which errors are told apart; an application adds its own. */
export type ApiErrorCode = ErrorCode | (string & {});

/** The API: its operations, and the connection that carries them. */
export type Api = ApiConnection & Operations;

/**
 * Connects to `wss://api.example.com/v1/ws` unless the options name another address.
 *
 * The operations are its methods, beside those of the connection itself.
 */
export function connect(options: ConnectOptions = {}): Api {
  const api = new ApiConnection(WIRE, options);
  const operations: Operations = {
    ping: (payload, options) => api.request("ping", payload, options),
    v1: {
      balance: {
        subscribe: (payload, options) => api.request("v1.balance.subscribe", payload, options),
        unsubscribe: (payload, options) => api.request("v1.balance.unsubscribe", payload, options),
        stream: (payload, options) => api.stream("v1.balance.subscribe", payload, options),
      },
      orders: {
        cancelAll: (options) => api.request("v1.orders.cancel_all", undefined, options),
        place: (payload, options) => api.request("v1.orders.place", payload, options),
      },
    },
  };
  return Object.assign(api, operations);
}

/** What the runtime knows of the document. */
const WIRE: WireDescription = {
  url: "wss://api.example.com/v1/ws",
  path: "/v1/ws",
  heartbeat: 12.5,
  ping: "ping",
  requests: {
    ping: { reply: "pong", hasId: true },
    "v1.balance.subscribe": {
      reply: "v1.balance.subscribe.response",
      hasId: true,
      updates: ["v1.balance.update"],
      unsubscribe: "v1.balance.unsubscribe",
    },
    "v1.balance.unsubscribe": { reply: "v1.balance.unsubscribe.response", hasId: true, ends: "balance:{account}" },
    "v1.orders.cancel_all": { hasId: true },
    "v1.orders.place": { reply: "v1.orders.placed", hasId: true },
  },
  closeCodes: {
    1000: "Closed normally: stop.",
    1001: "The server is going away: reconnect.",
    1002: "WebSocket protocol error: mend the client.",
    1003: "A message without `id` was refused: `Could not decode message`, `No matching type` or `Could not validate payload`.",
    1007: "A text message was not UTF-8: mend the client.",
    1008: "Too many bytes or pings, or a message that was not finished in time: mend the client.",
    1009: "A message was larger than the limit: mend the client.",
    1011: "The server failed: reconnect with back-off.",
    4009: "Too many errors: stop and tell the user.",
    4102: "The client reads too slowly: reconnect with back-off.",
    4103: "Heartbeat missed: reconnect with back-off.",
    4104: "Connection lifespan reached: reconnect with back-off.",
  },
};

