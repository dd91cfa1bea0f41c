// One request in the making: chosen, edited as a form or as JSON, checked, sent, answered.

import { copyButton, formatJson, jsonBlock } from './code.js';
import { announce, disclosure, element } from './element.js';
import { milliseconds } from './feed.js';
import { FOCUSABLE, beginning, form, placeOf } from './form.js';
import { inline } from './markdown.js';
import { jsonFault } from './json-fault.js';
import { FORMS, snippet } from './snippets.js';
import { validate } from './validate.js';

/**
 * The editor of requests. `console` is what it acts through: `send(operation, payload)` which returns the request or
 * undefined, `sendRaw(text)`, `frame(operation, payload)`, `target()` with `url` and `auth`, and `picked(operation)`.
 */
export class Composer {
  node;
  operation;

  #model;
  #console;
  #payload;
  #tab = 'Form';
  #form;
  #isChecked = false;
  #isAnyway = false;
  #serverFaults = [];
  #requests = [];

  #operationSelect;
  #exampleSelect;
  #summary;
  #tabs;
  #panel;
  #json;
  #raw;
  #faults;
  #send;
  #anyway;
  #latest;
  #outcome;

  constructor(model, operations, console) {
    this.#model = model;
    this.#console = console;
    this.#operationSelect = element('select', { id: 'try-operation', onchange: () => this.pick(this.#operationSelect.value) }, operationChoices(model, operations));
    this.#exampleSelect = element('select', { id: 'try-example', onchange: () => this.#useExample(Number(this.#exampleSelect.value)) });
    this.#summary = element('p', { class: 'try-summary' });
    this.#tabs = TABS.map((name) => element('button', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'try-panel', onclick: () => this.#show(name) }, name));
    this.#panel = element('div', { id: 'try-panel', class: 'try-panel', role: 'tabpanel' });
    this.#json = editor('Payload, as JSON', () => this.#edited());
    this.#raw = editor('Frame, sent as it is', () => this.#edited());
    this.#faults = element('div', { class: 'faults', hidden: true });
    this.#send = element('button', { type: 'button', class: 'primary', 'aria-keyshortcuts': 'Control+Enter', onclick: () => this.send() });
    this.#anyway = element('button', { type: 'button', class: 'secondary', hidden: true, onclick: () => this.send({ isAnyway: true }) }, 'Send anyway');
    this.#latest = element('span', { class: 'latest' });
    this.#outcome = element('ol', { class: 'requests', 'aria-label': 'Requests' });
    this.node = element(
      'section',
      { class: 'composer', 'aria-labelledby': 'request-name' },
      element('h3', { id: 'request-name', class: 'label' }, 'Request'),
      element(
        'div',
        { class: 'pickers' },
        element('div', {}, element('label', { for: 'try-operation' }, 'Operation'), this.#operationSelect),
        element('div', { class: 'example-picker' }, element('label', { for: 'try-example' }, 'Example'), this.#exampleSelect),
      ),
      this.#summary,
      element('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Edit as', onkeydown: (event) => this.#walkTabs(event) }, this.#tabs),
      this.#panel,
      this.#faults,
      element('div', { class: 'actions' }, this.#send, this.#anyway, element('kbd', { 'aria-hidden': 'true' }, 'Ctrl ⏎'), this.#latest),
      element(
        'div',
        { class: 'copy-as', role: 'group', 'aria-label': 'Copy as' },
        element('span', { class: 'soft' }, 'Copy as'),
        FORMS.map((name) => copyButton(() => this.#snippet(name), `as ${name}`, name)),
      ),
      this.#outcome,
    );
    this.node.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.send();
    });
    this.showConnection('idle');
  }

  /** Takes up an operation with its first example. */
  pick(key) {
    const operation = this.#model.operations.find(({ message }) => message.key === key);
    if (!operation) return;
    this.operation = operation;
    this.#latest.textContent = '';
    const { message } = operation;
    this.#operationSelect.value = key;
    this.#exampleSelect.replaceChildren(...message.examples.map((example, i) => element('option', { value: String(i) }, example.summary ?? example.name ?? `Example ${i + 1}`)));
    this.#exampleSelect.parentElement.hidden = message.examples.length < 2;
    this.#summary.replaceChildren(inline(message.summary ?? message.title ?? ''), ' ', element('a', { href: `#${encodeURIComponent(message.id)}` }, 'Reference'));
    this.showConnection();
    this.#useExample(0);
    this.#console.picked(operation);
  }

  /** Checks the request and sends it; with `isAnyway` whatever the check says. */
  send({ isAnyway = false } = {}) {
    this.#latest.textContent = '';
    if (this.#tab === 'Raw') return this.#console.sendRaw(this.#raw.value);
    const broken = this.#take();
    if (broken) return this.#showBroken(broken);
    const faults = this.#check();
    this.#isChecked = true;
    this.#serverFaults = [];
    this.#showFaults(faults);
    if (faults.length && !isAnyway) return this.#toFirst(faults);
    this.#isAnyway = faults.length > 0;
    return this.#console.send(this.operation, this.#payload);
  }

  /** Shows what has become of a request. */
  showRequest(request) {
    if (request.isProbe) return;
    this.#requests = [request, ...this.#requests.filter((other) => other !== request)].sort((one, other) => other.sentAt - one.sentAt).slice(0, MOST_REQUESTS);
    this.#outcome.replaceChildren(...this.#requests.map((one, i) => requestLine(this.#model, one, i === 0)));
    this.#latest.className = `latest ${this.#requests[0].state}`;
    this.#latest.textContent = stateWords(this.#requests[0]);
    if (request === this.#requests[0] && request.state !== 'waiting' && !request.renews) announce(`${request.operation.message.key}: ${stateWords(request)}`);
    if (request.state !== 'refused' || request.operation !== this.operation) return;
    const details = request.reply.payload?.details ?? [];
    this.#serverFaults = details.map(({ path, message }) => ({ path: String(path ?? ''), message: String(message), by: 'server' }));
    this.#showFaults(this.#isAnyway ? this.#check() : []);
  }

  /** What the button does depends on whether there is a connection. */
  showConnection(state = this.#send.dataset.state) {
    this.#send.dataset.state = state;
    const verb = this.operation?.updates.length && this.#tab !== 'Raw' ? 'Subscribe' : 'Send';
    this.#send.textContent = state === 'open' ? verb : `Connect and ${verb.toLowerCase()}`;
  }

  #useExample(i) {
    const { message } = this.operation;
    const example = message.examples[i]?.payload;
    const { type, id, payload, ...flat } = example ?? {};
    if (message.body === undefined) this.#payload = undefined;
    else if (example) this.#payload = structuredClone(message.isFlat ? flat : payload);
    else this.#payload = beginning(this.#model, message.body);
    this.#isChecked = false;
    this.#serverFaults = [];
    this.#showFaults([]);
    this.#show(this.#tab, { isFresh: true });
  }

  /** Shows a tab with the value as it stands; a value that cannot be read keeps its tab. */
  #show(tab, { isFresh = false } = {}) {
    const broken = !isFresh && this.#take();
    if (broken && tab !== 'Raw') return this.#showBroken(broken);
    this.#tab = tab;
    for (const button of this.#tabs) {
      const isChosen = button.textContent === tab;
      button.setAttribute('aria-selected', String(isChosen));
      button.tabIndex = isChosen ? 0 : -1;
    }
    this.#panel.setAttribute('aria-labelledby', `tab-${tab}`);
    const { body } = this.operation.message;
    this.#form = undefined;
    if (tab === 'Raw') {
      this.#serverFaults = [];
      this.#raw.value = JSON.stringify(this.#frame());
      this.#panel.replaceChildren(this.#raw, element('p', { class: 'help' }, 'Sent as it is, right or wrong, and not checked. Without an id the server closes the connection over a mistake.'));
    } else if (body === undefined) {
      this.#panel.replaceChildren(element('p', { class: 'help' }, 'This operation has no payload.'));
    } else if (tab === 'JSON') {
      this.#json.value = this.#payload === undefined ? '' : formatJson(this.#payload);
      this.#panel.replaceChildren(this.#json);
    } else {
      this.#form = form(this.#model, body, this.#payload, () => this.#edited());
      this.#panel.replaceChildren(this.#form.node);
    }
    this.#fit();
    this.showConnection();
    return this.#showFaults(this.#isChecked && tab !== 'Raw' ? this.#check() : []);
  }

  #walkTabs(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = this.#tabs.at((TABS.indexOf(this.#tab) + step) % TABS.length);
    this.#show(next.textContent);
    this.#tabs[TABS.indexOf(this.#tab)].focus();
  }

  /** Reads what the shown tab says into the payload. Returns the fault of a text that is not JSON. */
  #take() {
    if (this.operation.message.body === undefined) return undefined;
    if (this.#form) this.#payload = this.#form.read();
    if (this.#tab === 'JSON') {
      const isLeftOut = !this.#json.value.trim() && this.operation.message.isOptional;
      const fault = isLeftOut ? undefined : jsonFault(this.#json.value);
      if (fault) return fault;
      this.#payload = isLeftOut ? undefined : JSON.parse(this.#json.value);
    }
    if (this.#tab === 'Raw' && !jsonFault(this.#raw.value)) {
      const { type, id, payload, ...flat } = JSON.parse(this.#raw.value) ?? {};
      if (type === this.operation.message.key) this.#payload = this.operation.message.isFlat ? flat : payload ?? this.#payload;
    }
    return undefined;
  }

  #edited() {
    this.#fit();
    if (this.#tab === 'Raw') return;
    const broken = this.#take();
    this.#serverFaults = [];
    if (broken) this.#showBroken(broken, { isTyping: true });
    else this.#showFaults(this.#isChecked ? this.#check() : []);
  }

  /** The faults of the whole frame, told as faults of the payload. */
  #check() {
    const { frame, body } = this.operation.message;
    if (body === undefined || frame === undefined) return [];
    return validate(this.#model.resolve, frame, this.#frame()).map(({ path, message }) => ({ path: path.replace(/^\/payload(?=\/|$)/, ''), message }));
  }

  #frame() {
    return this.#console.frame(this.operation, this.#payload);
  }

  #showFaults(faults) {
    const all = [...faults, ...this.#serverFaults];
    this.#form?.show(all);
    this.#json.removeAttribute('aria-invalid');
    this.#anyway.hidden = !faults.length;
    this.#faults.hidden = !all.length;
    if (!all.length) return;
    const heading = faults.length ? `${faults.length === 1 ? 'One problem' : `${faults.length} problems`}, found before sending` : 'The server refused it';
    this.#faults.replaceChildren(
      element('p', { class: 'faults-head' }, heading),
      element('ul', {}, all.map((fault) => element('li', {}, this.#faultPlace(fault), ' ', fault.by && `${fault.by}: `, fault.message))),
    );
  }

  #faultPlace({ path }) {
    const place = path || 'payload';
    if (!this.#form) return element('code', {}, place);
    return element('button', { type: 'button', class: 'link', onclick: () => this.#focus(path) }, element('code', {}, place));
  }

  /** Says where a text stops being JSON; while the reader types, without a word to the screen reader. */
  #showBroken({ at, line, column, message }, { isTyping = false } = {}) {
    const text = `Not JSON at line ${line}, column ${column}: ${message}.`;
    this.#faults.hidden = false;
    this.#anyway.hidden = true;
    this.#json.setAttribute('aria-invalid', 'true');
    const go = () => {
      this.#json.focus();
      this.#json.setSelectionRange(at, at + 1);
    };
    this.#faults.replaceChildren(element('p', { class: 'faults-head' }, text, ' ', element('button', { type: 'button', class: 'link', onclick: go }, 'Show')));
    if (isTyping) return;
    announce(text);
    go();
  }

  #toFirst(faults) {
    announce(`Not sent. ${faults.map(({ path, message }) => `${path || 'payload'} ${message}`).join('; ')}`);
    if (this.#form) this.#focus(faults[0].path);
    else this.#json.focus();
  }

  #focus(path) {
    const place = placeOf(this.#form.node, path);
    (place.querySelector(`.field-value :is(${FOCUSABLE})`) ?? place.querySelector(FOCUSABLE))?.focus();
  }

  #fit() {
    for (const area of [this.#json, this.#raw]) area.rows = Math.min(16, Math.max(3, area.value.split('\n').length));
  }

  #snippet(name) {
    const isRaw = this.#tab === 'Raw';
    this.#take();
    const raw = isRaw && !jsonFault(this.#raw.value) ? JSON.parse(this.#raw.value) : undefined;
    return snippet(name, { operation: this.operation, operations: this.#model.operations, frame: raw ?? this.#frame(), ...this.#console.target() });
  }
}

function operationChoices(model, operations) {
  return model.groups
    .map((group) => [group.name, group.operations.filter((operation) => operations.includes(operation))])
    .filter(([, all]) => all.length)
    .map(([name, all]) => element('optgroup', { label: name }, all.map(({ message }) => element('option', { value: message.key }, message.key))));
}

function editor(label, edited) {
  return element('textarea', { class: 'json-input', 'aria-label': label, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', oninput: edited });
}

function requestLine(model, request, isNewest) {
  const { operation, id, state, reply } = request;
  const head = element(
    'p',
    { class: `request ${state}` },
    element('code', {}, operation.message.key),
    element('span', { class: 'soft' }, `id ${id}`),
    request.renews && element('span', { class: 'soft' }, 'again'),
    element('span', { class: 'request-state' }, stateWords(request)),
  );
  const code = reply?.type === 'error' ? errorMeaning(model, reply.payload?.code) : undefined;
  return element('li', {}, head, isNewest && code && element('p', { class: 'help' }, inline(code)), reply && disclosure(['Reply'], () => jsonBlock(reply, `Reply to ${id}`), isNewest && (state === 'refused' || !operation.updates.length)));
}

function stateWords({ state, latency, reply }) {
  switch (state) {
    case 'waiting':
      return 'waiting …';
    case 'late':
      return 'no reply within 10 s; still waiting';
    case 'lost':
      return 'the connection ended before the reply';
    case 'refused':
      return `${reply.payload?.code ?? 'error'} after ${milliseconds(latency)}`;
    default:
      return `answered in ${milliseconds(latency)}`;
  }
}

/** What the document says of an error code. */
function errorMeaning(model, code) {
  const described = Object.values(model.source.components?.schemas ?? {})
    .map((schema) => schema?.enum?.includes(code) && schema['x-enum-descriptions'])
    .find(Boolean);
  return described?.[code];
}

const TABS = ['Form', 'JSON', 'Raw'];
const MOST_REQUESTS = 4;
