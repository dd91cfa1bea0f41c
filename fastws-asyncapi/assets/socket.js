// One WebSocket that comes back: opening, closing, and waiting in between. No DOM here.

import { explainClose } from './closing.js';

/**
 * A connection for as long as the reader wants one. Its `state` is `idle`, `connecting`, `open`, `waiting`
 * (for the next attempt, at `retryAt`) or `closed` (with `ending` telling why). Events: `state`, and `frame`
 * with the text as `detail`.
 */
export class Socket extends EventTarget {
  state = 'idle';
  /** When the connection opened, by `performance.now()`. */
  openedAt = undefined;
  /** When the next attempt begins, by `performance.now()`. */
  retryAt = undefined;
  /** Why the last connection ended, as `explainClose` tells it. */
  ending = undefined;
  /** How many times the connection was lost or not made since it was last open. */
  attempts = 0;

  #socket;
  #target;
  #timer;
  #isReturning = false;
  #leastDelay = 0;

  /** `closeCodes` are the document's own, as `[code, text]`. */
  constructor(closeCodes) {
    super();
    this.closeCodes = closeCodes;
  }

  /** Connects to `url` with `protocols`; throws when the browser refuses the address. */
  connect(url, protocols = []) {
    this.#forget();
    this.#target = { url, protocols };
    this.attempts = 0;
    this.#isReturning = false;
    this.#open();
  }

  /** Ends the connection, or the waiting for one. */
  disconnect() {
    const { state } = this;
    this.#forget();
    if (state !== 'idle' && state !== 'closed') this.#become('idle', { ending: undefined });
  }

  /** Ends the waiting: tries at once. */
  retryNow() {
    if (this.state !== 'waiting') return;
    clearTimeout(this.#timer);
    this.#open();
  }

  send(text) {
    if (this.state !== 'open') throw new Error('not connected');
    this.#socket.send(text);
  }

  /** The server asks to wait for so many milliseconds before the next attempt. */
  delayReturn(ms) {
    this.#leastDelay = ms;
  }

  #open() {
    const { url, protocols } = this.#target;
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    this.#become('connecting');
    socket.addEventListener('open', () => {
      if (socket !== this.#socket) return;
      this.attempts = 0;
      this.#isReturning = true;
      this.#become('open', { openedAt: performance.now(), ending: undefined });
    });
    socket.addEventListener('message', ({ data }) => {
      if (socket === this.#socket) this.dispatchEvent(new CustomEvent('frame', { detail: data }));
    });
    socket.addEventListener('close', (event) => socket === this.#socket && this.#closed(event));
  }

  #closed(event) {
    this.#socket = undefined;
    const wasOpen = this.state === 'open';
    const ending = explainClose(this.closeCodes, event);
    if (!wasOpen && event.code === 1006) {
      ending.meaning = 'The connection was not made: the server is not there, or refuses it.';
      if (!this.#isReturning) ending.advice = 'See whether the server runs and the address is right.';
    }
    // A first attempt that fails is told at once; what had worked before is tried until it works again.
    if (!this.#isReturning || !ending.mayReturn) {
      this.#become('closed', { ending });
      return;
    }
    const delay = Math.max(backOff(this.attempts), this.#leastDelay);
    this.attempts += 1;
    this.#leastDelay = 0;
    this.#timer = setTimeout(() => this.#open(), delay);
    this.#become('waiting', { retryAt: performance.now() + delay, ending: wasOpen ? ending : this.ending ?? ending });
  }

  /** Lets go of the present socket: nothing of it is heard any more. */
  #forget() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#leastDelay = 0;
    socket?.close(1000);
  }

  #become(state, changes = {}) {
    Object.assign(this, changes, { state });
    this.dispatchEvent(new Event('state'));
  }
}

/** Milliseconds before attempt number `attempt`: twice as long each time, with jitter, so that clients do not return together. */
export function backOff(attempt, random = Math.random()) {
  const longest = Math.min(FIRST_DELAY * 2 ** attempt, LONGEST_DELAY);
  return longest / 2 + (longest / 2) * random;
}

const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;
