// The connection's controls: address, token, state, and why the last connection ended.

import { announce, disclosure, element } from './element.js';
import { milliseconds } from './feed.js';
import { inline } from './markdown.js';

/** The bar that connects and disconnects one `Socket` and tells how it stands. */
export class Connector {
  node;
  /** The badge that stands beside the console's title. */
  badge = element('span', { class: 'state idle' }, 'Not connected');

  #channel;
  #socket;
  #session;
  #url;
  #token;
  #button;
  #now;
  #fault;
  #notice;
  #told;
  #announced = STATES.idle;

  constructor(channel, socket, session) {
    this.#channel = channel;
    this.#socket = socket;
    this.#session = session;
    this.#url = element('input', { id: 'try-url', type: 'url', inputmode: 'url', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'try-url-fault', oninput: () => this.#sayFault('') });
    this.#url.value = channel.hereUrl;
    this.#url.addEventListener('keydown', (event) => event.key === 'Enter' && !event.ctrlKey && this.#press());
    this.#token = element('input', { id: 'try-token', type: 'password', autocomplete: 'off', spellcheck: 'false' });
    this.#button = element('button', { type: 'button', class: 'connect', onclick: () => this.#press() });
    this.#now = element('button', { type: 'button', class: 'small-button', onclick: () => socket.retryNow() }, 'Now');
    this.#fault = element('p', { class: 'fault', id: 'try-url-fault', hidden: true });
    this.#notice = element('div', { class: 'ending', hidden: true });
    this.#told = element('p', { class: 'connection-told' });
    const hasSecurity = securityOf(channel).length > 0;
    this.node = element(
      'section',
      { class: 'connector', 'aria-label': 'Connection' },
      element('div', { class: 'address' }, element('label', { for: 'try-url', class: 'hidden-text' }, 'Address'), this.#url, this.#button),
      this.#fault,
      hasSecurity ? this.#tokenField() : disclosure(['Options'], () => this.#tokenField()),
      this.#told,
      this.#notice,
    );
    socket.addEventListener('state', () => this.#show());
    session.addEventListener('request', ({ detail }) => detail.isProbe && this.#tick());
    setInterval(() => this.#tick(), 250);
    this.#show();
  }

  /** Connects; false when the address or the token cannot be used, which is said at the field. */
  connect() {
    const fault = addressFault(this.#url.value);
    if (fault) return this.#sayFault(fault);
    const { url, auth } = this.target();
    const token = this.#token.value.trim();
    const address = new URL(url);
    if (token && auth.query) address.searchParams.set(auth.query, token);
    try {
      this.#socket.connect(address.href, token && auth.protocol ? ['fastws.v1', `bearer.${token}`] : []);
    } catch (error) {
      return this.#sayFault(token && auth.protocol ? 'This token has a character that a subprotocol cannot carry.' : `The browser refuses this address: ${error.message}`);
    }
    return true;
  }

  /** Where to connect and how a token travels, without the token. */
  target() {
    const query = securityOf(this.#channel).find(({ type, in: place }) => /apikey/i.test(type) && place === 'query');
    const hasToken = this.#token.value.trim() !== '' || securityOf(this.#channel).length > 0;
    return { url: this.#url.value.trim(), auth: hasToken ? (query ? { query: query.parameter ?? 'token' } : { protocol: true }) : undefined };
  }

  #tokenField() {
    return element(
      'div',
      { class: 'token' },
      element('label', { for: 'try-token' }, 'Token'),
      this.#token,
      element('p', { class: 'help' }, 'Optional. Kept in this page alone, until it is closed; never shown and never copied.'),
    );
  }

  #press() {
    if (['open', 'connecting', 'waiting'].includes(this.#socket.state)) this.#socket.disconnect();
    else this.connect();
  }

  #sayFault(text) {
    this.#fault.textContent = text;
    this.#fault.hidden = !text;
    if (!text) return this.#url.removeAttribute('aria-invalid');
    this.#url.setAttribute('aria-invalid', 'true');
    announce(text);
    this.#url.focus();
    return false;
  }

  #show() {
    const { state, ending } = this.#socket;
    this.badge.className = `state ${state}`;
    this.badge.textContent = STATES[state];
    this.#button.textContent = { idle: 'Connect', closed: 'Connect', connecting: 'Cancel', waiting: 'Stop', open: 'Disconnect' }[state];
    this.#button.classList.toggle('primary', state === 'idle' || state === 'closed');
    this.#url.readOnly = state === 'open' || state === 'connecting' || state === 'waiting';
    this.#notice.hidden = !ending || state === 'open';
    if (ending) {
      this.#notice.replaceChildren(
        element('p', {}, element('code', { class: 'close-code' }, String(ending.code)), ' ', inline(ending.meaning)),
        ending.reason && element('p', { class: 'soft' }, 'The server said: ', element('q', {}, ending.reason)),
        element('p', { class: 'soft' }, ending.advice),
      );
    }
    // Attempts in a row are told once.
    const told = ending && state !== 'open' ? `${STATES[state]}. ${ending.code}: ${ending.meaning}` : STATES[state];
    if (state !== 'connecting' && told !== this.#announced) announce(told);
    if (state !== 'connecting') this.#announced = told;
    this.#tick();
  }

  /** What changes by itself: the countdown, the time of the connection, the way there and back. */
  #tick() {
    const { state, openedAt, retryAt } = this.#socket;
    const now = performance.now();
    this.#told.hidden = state !== 'open' && state !== 'waiting';
    if (state === 'waiting') {
      const text = `Connecting again in ${Math.max(0, Math.ceil((retryAt - now) / 1000))} s`;
      if (this.#told.dataset.text === text) return;
      this.#told.dataset.text = text;
      this.#told.replaceChildren(element('span', { class: 'countdown' }, text), this.#now);
    }
    if (state === 'open') {
      const { roundTrip } = this.#session;
      const text = [`for ${stopwatch(now - openedAt)}`, roundTrip !== undefined && `round trip ${milliseconds(roundTrip)}`].filter(Boolean).join(' · ');
      this.#told.dataset.text = text;
      this.#told.textContent = text;
    }
  }
}

/** Why the page cannot connect to this address; nothing when it can. */
function addressFault(text) {
  let url;
  try {
    url = new URL(text.trim());
  } catch {
    return 'This is not an address; it should read like ws://host/path.';
  }
  if (!/^wss?:$/.test(url.protocol)) return 'A WebSocket’s address begins with ws:// or wss://.';
  if (url.host !== location.host) return `This page may connect to its own server alone, ${location.host}: its content security policy forbids all others. Open the docs page of ${url.host} instead.`;
  return location.protocol === 'https:' && url.protocol === 'ws:' ? 'A page that came by https connects by wss:// only.' : '';
}

function securityOf({ servers }) {
  return servers.flatMap(({ security }) => security.flat());
}

function stopwatch(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}

const STATES = { idle: 'Not connected', connecting: 'Connecting', open: 'Connected', waiting: 'Reconnecting', closed: 'Closed' };
