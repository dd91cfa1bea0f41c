// The live console beside the reference: one connection, requests, subscriptions and a feed.
//
//   socket.js         a WebSocket that comes back
//   closing.js        close codes in words
//   session.js        requests paired with replies, subscriptions
//   connector.js      address, token, state
//   composer.js       a request in the making
//   form.js           a form made from a schema
//   validate.js       JSON Schema checked
//   json-fault.js     where a text stops being JSON
//   subscriptions.js  what is subscribed to
//   feed.js           every frame
//   snippets.js       a request as JSON, websocat, TypeScript, Python
//   splitter.js       a bar between two parts that can be moved

import { Composer } from './composer.js';
import { Connector } from './connector.js';
import { element } from './element.js';
import { Feed } from './feed.js';
import { Session } from './session.js';
import { Socket } from './socket.js';
import { splitter } from './splitter.js';
import { subscriptionList } from './subscriptions.js';

/**
 * Puts the console on the page: a panel that the button `toggle` opens, and so does whatever has an operation's name
 * in `data-try` (to try it) or `data-subscribe` (to send its example at once), and the address `#try-<operation>`.
 */
export function addConsole(model, toggle) {
  const operations = model.operations.filter(({ direction }) => direction === 'send');
  if (!operations.length) return;
  // Each endpoint has a connection of its own; it is made when it is first looked at.
  const parts = new Map();
  const panel = new Panel(toggle);

  const open = (key, from) => {
    const operation = operations.find(({ message }) => message.key === key) ?? panel.shown?.composer.operation ?? operations[0];
    const { channel } = operation;
    if (!parts.has(channel)) parts.set(channel, endpoint(model, channel, operations));
    const part = parts.get(channel);
    panel.show(part, from);
    if (part.composer.operation !== operation) part.composer.pick(operation.message.key);
    else remember(operation);
    return part;
  };
  const follow = () => {
    const key = /^#try-(.+)$/.exec(location.hash)?.[1];
    if (key === undefined) return;
    open(decoded(key));
    document.getElementById(panel.shown.composer.operation.message.id)?.scrollIntoView();
  };

  toggle.hidden = false;
  toggle.addEventListener('click', () => (panel.isOpen ? panel.close() : open(undefined, toggle)));
  document.addEventListener('click', ({ target }) => {
    const button = target.closest?.('[data-try], [data-subscribe]');
    if (!button) return;
    const { composer } = open(button.dataset.try ?? button.dataset.subscribe, button);
    if (button.dataset.subscribe === undefined) return;
    composer.pick(button.dataset.subscribe);
    composer.send();
  });
  addEventListener('hashchange', follow);
  follow();
}

/** The console of one endpoint. */
function endpoint(model, path, operations) {
  const channel = model.channels.find((one) => one.path === path);
  const here = operations.filter((operation) => operation.channel === path);
  const socket = new Socket(channel.closeCodes);
  const session = new Session(socket, model.operations);
  const connector = new Connector(channel, socket, session);
  const feed = new Feed();
  let held;

  /** Does it now, or as soon as there is a connection. */
  const connected = (act) => {
    if (socket.state === 'open') return act();
    held = act;
    if (socket.state === 'waiting') socket.retryNow();
    else if (socket.state !== 'connecting' && !connector.connect()) held = undefined;
    return undefined;
  };
  const composer = new Composer(model, here, {
    send: (operation, payload) => connected(() => session.request(operation, payload)),
    sendRaw: (text) => connected(() => session.sendRaw(text)),
    frame: (operation, payload) => session.frame(operation, payload),
    target: () => connector.target(),
    picked: remember,
  });

  session.addEventListener('frame', ({ detail }) => feed.add(detail));
  session.addEventListener('request', ({ detail }) => composer.showRequest(detail));
  socket.addEventListener('state', () => {
    composer.showConnection(socket.state);
    noteState(feed, socket, session);
    if (socket.state === 'open') {
      const act = held;
      held = undefined;
      act?.();
    } else if (socket.state !== 'connecting') held = undefined;
  });
  measure(socket, session, here);
  return { connector, composer, feed, subscriptions: subscriptionList(session) };
}

/** Tells in the feed how the connection goes; never its address, where a token may be. */
function noteState(feed, { state, ending, attempts }, { subscriptions }) {
  const again = subscriptions.length ? ` Making ${subscriptions.length === 1 ? 'the subscription' : `${subscriptions.length} subscriptions`} again.` : '';
  const end = ending && `${ending.code}: ${ending.meaning}${ending.reason ? ` The server said “${ending.reason}”.` : ''}`;
  if (state === 'open') feed.note(`Connected.${again}`, 'good');
  if (state === 'idle') feed.note('Disconnected.');
  if (state === 'closed') feed.note(`Closed. ${end}`, 'bad');
  if (state === 'waiting' && attempts === 1) feed.note(`Connection lost. ${end}`, 'bad');
}

/** Measures the round trip now and then, where the server has `ping`. */
function measure(socket, session, operations) {
  const ping = operations.find(({ message, reply }) => message.key === 'ping' && reply);
  if (!ping) return;
  const now = () => socket.state === 'open' && !document.hidden && session.ping(ping);
  socket.addEventListener('state', () => setTimeout(now, 0));
  setInterval(now, PING_INTERVAL);
}

/** The panel itself: where it stands, and where the focus goes. */
class Panel {
  isOpen = false;
  /** The parts that are in it. */
  shown = undefined;

  #toggle;
  #node;
  #title;
  #head;
  #body;
  #opener;
  #feedBar = splitter('Height of the feed', {
    size: () => this.shown.feed.node.offsetHeight,
    resize: (pixels) => this.#body.style.setProperty('--feed', `${pixels}px`),
    limits: () => [100, this.#body.offsetHeight - 160],
  });

  constructor(toggle) {
    this.#toggle = toggle;
    this.#title = element('h2', { id: 'console-name', tabindex: '-1' }, 'Console');
    this.#head = element('div', { class: 'console-state' });
    this.#body = element('div', { class: 'console-body' });
    this.#node = element(
      'aside',
      { id: 'console', class: 'console', 'aria-labelledby': 'console-name', hidden: true },
      splitter('Width of the console', {
        isUpright: true,
        size: () => this.#node.offsetWidth,
        resize: (pixels) => document.body.style.setProperty('--console', `${pixels}px`),
        limits: () => [360, innerWidth * 0.7],
      }),
      element('header', { class: 'console-head' }, this.#title, this.#head, element('button', { type: 'button', class: 'icon', 'aria-label': 'Close the console', onclick: () => this.close() }, '✕')),
      this.#body,
    );
    this.#node.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      const search = event.target.closest('input[type="search"]');
      if (!search?.value) this.close();
    });
    // A link out of a panel that covers the page would lead nowhere that can be seen.
    this.#node.addEventListener('click', ({ target }) => COVERS.matches && target.closest('a[href^="#"]') && this.#setOpen(false));
    document.getElementById('content').after(this.#node);
    COVERS.addEventListener('change', () => this.#shield());
  }

  show(part, from) {
    if (part !== this.shown) {
      this.shown = part;
      this.#head.replaceChildren(part.connector.badge);
      this.#body.replaceChildren(element('div', { class: 'console-work' }, part.connector.node, part.composer.node), part.subscriptions, this.#feedBar, part.feed.node);
    }
    this.#opener = from ?? this.#opener ?? this.#toggle;
    this.#setOpen(true);
    this.#title.focus({ preventScroll: true });
  }

  close() {
    this.#setOpen(false);
    if (location.hash.startsWith('#try-')) history.replaceState(null, '', `#${encodeURIComponent(this.shown.composer.operation.message.id)}`);
    const opener = this.#opener?.isConnected ? this.#opener : this.#toggle;
    this.#opener = undefined;
    opener.focus({ preventScroll: true });
  }

  #setOpen(isOpen) {
    this.isOpen = isOpen;
    this.#node.hidden = !isOpen;
    this.#toggle.setAttribute('aria-expanded', String(isOpen));
    document.body.classList.toggle('has-console', isOpen);
    this.#shield();
  }

  /** Where the panel covers the page, the page behind it takes no part. */
  #shield() {
    const isCovered = this.isOpen && COVERS.matches;
    for (const id of ['content', 'sidebar']) document.getElementById(id).inert = isCovered;
  }
}

/** Puts the operation into the address, without a new entry in the history. */
function remember({ message }) {
  history.replaceState(null, '', `#try-${encodeURIComponent(message.key)}`);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray `%` means the name was never percent-encoded: it stands for itself.
    return text;
  }
}

const COVERS = matchMedia('(max-width: 56rem)');
const PING_INTERVAL = 15_000;
