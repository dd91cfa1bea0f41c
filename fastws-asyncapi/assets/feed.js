// The feed: every frame, sent and received, in the order of the wire.

import { highlightJson, formatJson } from './code.js';
import { element } from './element.js';

/**
 * A bounded list of frames with filters. `add` takes `{way: 'sent' | 'received', text, frame, latency}`, and `note`
 * a sentence about the connection. Both are cheap: what came is shown once per animation frame.
 */
export class Feed {
  node;

  #entries = [];
  #incoming = [];
  #held = [];
  #isPaused = false;
  #isAsked = false;
  #dropped = 0;
  #seen = { type: new Map(), topic: new Map() };
  #total = 0;

  #list;
  #scroll;
  #type;
  #topic;
  #search;
  #pause;
  #told;
  #jump;
  #empty;

  constructor() {
    this.#list = element('ol', { class: 'frames', 'aria-label': 'Frames' });
    this.#empty = element('p', { class: 'feed-empty' }, 'Nothing yet. Connect and send a request, and every frame appears here.');
    this.#scroll = element('div', { class: 'feed-scroll' }, this.#empty, this.#list);
    this.#type = this.#filter('type', 'All types');
    this.#topic = this.#filter('topic', 'All topics');
    this.#search = element('input', { type: 'search', placeholder: 'Find text', 'aria-label': 'Show frames with this text', autocomplete: 'off', spellcheck: 'false', oninput: () => this.#showAll() });
    this.#pause = element('button', { type: 'button', class: 'small-button', 'aria-pressed': 'false', onclick: () => this.#setPaused(!this.#isPaused) }, 'Pause');
    this.#told = element('p', { class: 'feed-told' });
    this.#jump = element('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.#toEnd() }, 'Newest ↓');
    this.node = element(
      'section',
      { class: 'feed', 'aria-labelledby': 'feed-name' },
      element(
        'div',
        { class: 'feed-head' },
        element('h3', { id: 'feed-name', class: 'label' }, 'Feed'),
        this.#told,
        this.#pause,
        element('button', { type: 'button', class: 'small-button', onclick: () => this.clear() }, 'Clear'),
      ),
      element('div', { class: 'filters' }, this.#type, this.#topic, this.#search),
      element('div', { class: 'feed-body' }, this.#scroll, this.#jump),
    );
    this.#list.addEventListener('click', ({ target }) => {
      const row = target.closest('.frame-line');
      if (row) this.#toggle(row);
    });
    this.#list.addEventListener('keydown', (event) => this.#walk(event));
    this.#scroll.addEventListener('scroll', () => (this.#jump.hidden = this.#isAtEnd()), { passive: true });
  }

  add({ way, text, frame, latency }) {
    const type = typeof frame?.type === 'string' ? frame.type : undefined;
    const topic = typeof frame?.topic === 'string' ? frame.topic : undefined;
    this.#take({ way, at: Date.now(), text, type, topic, latency, isSnapshot: frame?.snapshot === true, skipped: frame?.skipped, isError: type === 'error' });
  }

  note(text, tone = 'plain') {
    this.#take({ way: 'note', at: Date.now(), text, tone });
  }

  clear() {
    for (const queue of [this.#entries, this.#incoming, this.#held]) queue.length = 0;
    this.#dropped = 0;
    this.#total = 0;
    for (const select of [this.#type, this.#topic]) select.replaceChildren(select.firstChild);
    this.#seen = { type: new Map(), topic: new Map() };
    this.#showAll();
  }

  #take(entry) {
    const queue = this.#isPaused ? this.#held : this.#incoming;
    queue.push(entry);
    this.#total += 1;
    if (queue.length > CAPACITY) {
      // The oldest go in one sweep, so that a burst does not move the whole queue at every frame.
      this.#dropped += queue.splice(0, queue.length - CAPACITY + CAPACITY / 4).length;
    }
    this.#soon();
  }

  #soon() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#flush();
    });
  }

  #flush() {
    const fresh = this.#incoming;
    this.#incoming = [];
    if (fresh.length > PER_FLUSH) this.#dropped += fresh.splice(0, fresh.length - PER_FLUSH).length;
    this.#remember(fresh);
    const wasAtEnd = this.#isAtEnd();
    this.#entries.push(...fresh);
    this.#list.append(...fresh.filter((entry) => this.#matches(entry)).map(line));
    if (this.#entries.length > CAPACITY) {
      for (const entry of this.#entries.splice(0, this.#entries.length - CAPACITY)) entry.node?.remove();
    }
    this.#keepOneTabStop();
    if (wasAtEnd) this.#toEnd();
    else this.#jump.hidden = false;
    this.#tell();
  }

  #showAll() {
    for (const entry of this.#entries) entry.node = undefined;
    this.#list.replaceChildren(...this.#entries.filter((entry) => this.#matches(entry)).map(line));
    this.#keepOneTabStop();
    this.#toEnd();
    this.#tell();
  }

  #matches({ way, type, topic, text }) {
    if (this.#type.value && type !== this.#type.value) return false;
    if (this.#topic.value && topic !== this.#topic.value) return false;
    return !this.#search.value || `${way === 'note' ? '' : type} ${text}`.toLowerCase().includes(this.#search.value.toLowerCase());
  }

  #filter(key, all) {
    return element('select', { 'aria-label': `Show one ${key}`, 'data-filter': key, onchange: () => this.#showAll() }, element('option', { value: '' }, all));
  }

  /** Offers what has been seen as filters. */
  #remember(entries) {
    for (const [key, select] of [['type', this.#type], ['topic', this.#topic]]) {
      for (const { [key]: value } of entries) {
        if (value === undefined || this.#seen[key].has(value) || this.#seen[key].size >= MOST_CHOICES) continue;
        const choice = element('option', { value }, value);
        this.#seen[key].set(value, choice);
        const next = [...select.options].slice(1).find((other) => other.value > value);
        select.insertBefore(choice, next ?? null);
      }
    }
  }

  #setPaused(isPaused) {
    this.#isPaused = isPaused;
    this.#pause.setAttribute('aria-pressed', String(isPaused));
    this.#pause.textContent = isPaused ? 'Resume' : 'Pause';
    this.#pause.classList.toggle('on', isPaused);
    if (isPaused) return this.#tell();
    this.#entries.push(...this.#held);
    this.#remember(this.#held);
    this.#held = [];
    this.#entries.splice(0, this.#entries.length - CAPACITY);
    return this.#showAll();
  }

  #tell() {
    const shown = this.#list.childElementCount;
    const count = (number) => number.toLocaleString('en');
    this.#empty.hidden = shown > 0;
    this.#empty.textContent = this.#total ? 'No frame matches.' : 'Nothing yet. Connect and send a request, and every frame appears here.';
    this.#told.textContent = [
      shown && (shown === this.#entries.length ? `${count(shown)} shown` : `${count(shown)} of ${count(this.#entries.length)} shown`),
      this.#isPaused && `${count(this.#held.length)} held back`,
      this.#dropped && `${count(this.#dropped)} not shown: too fast`,
    ].filter(Boolean).join(' · ');
  }

  #toggle(row) {
    const isOpen = row.getAttribute('aria-expanded') !== 'true';
    row.setAttribute('aria-expanded', String(isOpen));
    const item = row.parentElement;
    if (!isOpen) return item.querySelector('pre').remove();
    const { text } = this.#entries.find(({ node }) => node === item);
    return item.append(element('pre', { tabindex: '0', role: 'group', 'aria-label': 'Frame' }, element('code', {}, pretty(text))));
  }

  /** Arrow keys walk through the frames; one of them alone is a tab stop. */
  #walk(event) {
    const row = event.target.closest('.frame-line');
    if (!row) return;
    const item = row.parentElement;
    const next = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling, Home: this.#list.firstElementChild, End: this.#list.lastElementChild }[event.key];
    if (!next) return;
    event.preventDefault();
    const line = next.querySelector('.frame-line');
    row.tabIndex = -1;
    line.tabIndex = 0;
    line.focus();
  }

  #keepOneTabStop() {
    const [stop, ...others] = this.#list.querySelectorAll('.frame-line[tabindex="0"]');
    for (const other of others) other.tabIndex = -1;
    const isUsed = stop && stop === document.activeElement;
    const last = this.#list.lastElementChild?.querySelector('.frame-line');
    if (isUsed || !last || stop === last) return;
    if (stop) stop.tabIndex = -1;
    last.tabIndex = 0;
  }

  #isAtEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < 24;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#jump.hidden = true;
  }
}

function line(entry) {
  const { way, at, text, type, topic, latency, isSnapshot, skipped, isError, tone } = entry;
  const time = element('time', {}, clock(at));
  if (way === 'note') {
    entry.node = element('li', { class: `note-line ${tone}` }, time, element('span', {}, text));
    return entry.node;
  }
  entry.node = element(
    'li',
    { class: `frame ${way === 'sent' ? 'send' : 'receive'}${isError ? ' error' : ''}` },
    element(
      'button',
      { type: 'button', class: 'frame-line', tabindex: '-1', 'aria-expanded': 'false' },
      time,
      element('span', { class: 'arrow', 'aria-hidden': 'true' }, way === 'sent' ? '↑' : '↓'),
      element('span', { class: 'hidden-text' }, way),
      element('span', { class: 'frame-type' }, type ?? 'text'),
      topic !== undefined && element('span', { class: 'frame-topic' }, topic),
      isSnapshot && element('span', { class: 'mark' }, 'snapshot'),
      skipped > 0 && element('span', { class: 'mark' }, `${skipped} skipped`),
      latency !== undefined && element('span', { class: 'mark' }, milliseconds(latency)),
      element('span', { class: 'preview' }, preview(text)),
    ),
  );
  return entry.node;
}

/** The beginning of what a frame carries. */
function preview(text) {
  const at = text.indexOf('"payload":');
  return at < 0 ? text.slice(0, PREVIEW) : text.slice(at + 10, at + 10 + PREVIEW).replace(/}$/, '');
}

/** A duration as a person reads it. */
export function milliseconds(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function clock(at) {
  const time = new Date(at);
  const two = (number) => String(number).padStart(2, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

function pretty(text) {
  try {
    return highlightJson(formatJson(JSON.parse(text)));
  } catch {
    // Not JSON: shown as it is.
    return text;
  }
}

/** How many frames are kept, and shown at most. */
const CAPACITY = 1000;
/** How many are shown per animation frame; more cannot be read, and would hold up the page. */
const PER_FLUSH = 60;
const MOST_CHOICES = 200;
const PREVIEW = 200;
