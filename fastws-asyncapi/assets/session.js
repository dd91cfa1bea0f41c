// What a connection carries: requests paired with their answers by id, and the subscriptions made. No DOM here.

import { isSame } from './validate.js';

/**
 * The requests and subscriptions of one console. Events: `frame` (every frame, sent or received, as an entry for the
 * feed), `request` (one has changed), `subscriptions` (the list has changed), `count` (an update was counted).
 */
export class Session extends EventTarget {
  /** Requests without an answer, by id. */
  waiting = new Map();
  /** What is subscribed to, in the order in which it was made. */
  subscriptions = [];
  /** Milliseconds for the last ping, there and back. */
  roundTrip = undefined;

  #socket;
  #operations;
  #nextId = 1;

  constructor(socket, operations) {
    super();
    this.#socket = socket;
    this.#operations = operations;
    socket.addEventListener('frame', ({ detail }) => this.#receive(detail));
    socket.addEventListener('state', () => this.#follow());
  }

  /** The frame that `request` would send now. */
  frame(operation, payload) {
    const { key, isFlat } = operation.message;
    const head = { type: key, id: String(this.#nextId) };
    if (isFlat) return { ...head, ...payload };
    return payload === undefined ? head : { ...head, payload };
  }

  /** Sends a request, and returns it: `{operation, payload, frame, state, reply, latency}`. */
  request(operation, payload) {
    const frame = this.frame(operation, payload);
    const request = { operation, payload, frame, id: frame.id, state: 'waiting', sentAt: performance.now() };
    this.#nextId += 1;
    this.#send(JSON.stringify(frame), { frame, request });
    this.waiting.set(request.id, request);
    request.timer = setTimeout(() => this.#settle(request, { state: 'late' }), PATIENCE);
    this.#tell('request', request);
    return request;
  }

  /** Sends any text as it is. */
  sendRaw(text) {
    this.#send(text, { frame: parse(text) });
  }

  /** Measures the way there and back; the two frames are not for the feed. */
  ping(operation) {
    const frame = { type: operation.message.key, id: `latency-${this.#nextId}`, payload: {} };
    this.#nextId += 1;
    this.#socket.send(JSON.stringify(frame));
    this.waiting.set(frame.id, { isProbe: true, sentAt: performance.now() });
  }

  /** Ends a subscription: by the request that does so, or by forgetting it where there is none. */
  unsubscribe(subscription) {
    const { operation, payload, topics } = subscription;
    const ending = this.unsubscribeOperation(operation);
    if (!ending || this.#socket.state !== 'open') return this.#drop(subscription);
    // A request that was not named for it may take other fields; those of the topic are sure.
    const each = operation.message['x-unsubscribe'] ? [] : topics.map((topic) => templateFields(operation.message['x-topic'], topic));
    if (!each.length || each.some((fields) => !fields)) return this.request(ending, payload);
    for (const fields of each) this.request(ending, fields);
    return undefined;
  }

  /** The request that ends what `operation` begins: the one it names, else the one of the same topic without updates. */
  unsubscribeOperation({ message }) {
    const named = message['x-unsubscribe'];
    const sends = this.#operations.filter(({ direction }) => direction === 'send');
    if (named) return sends.find((other) => other.message.key === named);
    if (!message['x-topic']) return undefined;
    return sends.find((other) => other.message['x-topic'] === message['x-topic'] && !other.updates.length);
  }

  #send(text, { frame, request }) {
    this.#socket.send(text);
    this.#tell('frame', { way: 'sent', text, frame, request });
  }

  #receive(text) {
    const receivedAt = performance.now();
    if (typeof text !== 'string') return this.#tell('frame', { way: 'received', text: '(binary)', frame: undefined });
    const frame = parse(text);
    const request = this.#answered(frame, receivedAt);
    if (request?.isProbe) return undefined;
    const subscription = this.#counted(frame);
    if (frame?.type === 'unsubscribed') this.#ended(frame.topic);
    if (frame?.type === 'draining') this.#socket.delayReturn(Number(frame.payload?.retry_after_ms) || 0);
    this.#tell('frame', { way: 'received', text, frame, request, latency: request?.latency });
    if (subscription) this.#tell('count', subscription);
    return undefined;
  }

  #answered(frame, receivedAt) {
    const request = frame?.id === undefined ? undefined : this.waiting.get(frame.id);
    if (!request) return undefined;
    this.waiting.delete(frame.id);
    const latency = receivedAt - request.sentAt;
    if (request.isProbe) {
      this.roundTrip = latency;
      this.#tell('request', request);
      return request;
    }
    const state = frame.type === 'error' ? 'refused' : 'answered';
    this.#settle(request, { state, reply: frame, latency });
    if (state === 'answered') this.#subscribed(request);
    else if (request.renews) this.#drop(request.renews);
    return request;
  }

  #settle(request, changes) {
    clearTimeout(request.timer);
    Object.assign(request, changes);
    this.#tell('request', request);
  }

  #subscribed({ operation, payload, reply, renews }) {
    const topics = topicsOf(reply);
    if (operation.updates.length) {
      const known = renews ?? this.subscriptions.find((one) => one.operation === operation && (isSame(one.topics, topics) || isSame(one.payload, payload)));
      if (known) Object.assign(known, { topics, payload, state: 'active' });
      else this.subscriptions.push({ operation, payload, topics, state: 'active', count: 0 });
    } else {
      // A request about every topic leaves none.
      if (operation.message['x-topic'] === '*') this.subscriptions = [];
      const begins = this.subscriptions.filter((one) => this.unsubscribeOperation(one.operation) === operation);
      for (const one of begins) one.topics = one.topics.filter((topic) => !topics.includes(topic));
      this.subscriptions = this.subscriptions.filter((one) => one.topics.length && (topics.length || !isSame(one.payload, payload)));
    }
    this.#tell('subscriptions');
  }

  #counted(frame) {
    if (frame?.topic === undefined) return undefined;
    const subscription = this.subscriptions.find(({ topics }) => topics.includes(frame.topic));
    if (subscription) subscription.count += 1;
    return subscription;
  }

  /** The server has ended a topic by itself. */
  #ended(topic) {
    for (const one of this.subscriptions) one.topics = one.topics.filter((other) => other !== topic);
    this.subscriptions = this.subscriptions.filter((one) => one.topics.length);
    this.#tell('subscriptions');
  }

  #drop(subscription) {
    this.subscriptions = this.subscriptions.filter((one) => one !== subscription);
    this.#tell('subscriptions');
  }

  #follow() {
    const { state } = this.#socket;
    if (state === 'open') return this.#renew();
    if (state === 'connecting') return undefined;
    this.roundTrip = undefined;
    for (const request of this.waiting.values()) {
      if (!request.isProbe) this.#settle(request, { state: 'lost' });
    }
    this.waiting.clear();
    // A connection that the reader ended, or that does not come back, takes its subscriptions with it.
    if (state !== 'waiting') this.subscriptions = [];
    for (const one of this.subscriptions) one.state = 'interrupted';
    this.#tell('subscriptions');
    return undefined;
  }

  /** Makes the subscriptions of the connection before again. */
  #renew() {
    for (const subscription of this.subscriptions) {
      const request = this.request(subscription.operation, subscription.payload);
      request.renews = subscription;
      subscription.state = 'renewing';
    }
    if (this.subscriptions.length) this.#tell('subscriptions');
  }

  #tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }
}

function topicsOf({ payload, ...flat }) {
  const { topic, topics } = payload ?? flat;
  const all = Array.isArray(topics) ? topics : topic === undefined ? [] : [topic];
  return all.map(String);
}

/** The fields of a template in a topic: `bars:{symbol}` makes `{symbol: 'AAPL'}` of `bars:AAPL`; nothing without any. */
function templateFields(template, topic) {
  const parts = template.split(/\{([^}]*)\}/);
  const pattern = parts.map((part, i) => (i % 2 ? '([^:]*)' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))).join('');
  const found = new RegExp(`^${pattern}$`).exec(topic);
  const names = parts.filter((_, i) => i % 2);
  return names.length && found ? Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])])) : undefined;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    // A frame that is not JSON is shown as the text it is.
    return undefined;
  }
}

/** Milliseconds after which a request is said to be late; its answer is still taken. */
const PATIENCE = 10_000;
