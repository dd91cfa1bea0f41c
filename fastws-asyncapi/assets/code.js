// JSON to read and to copy.

import { announce, element } from './element.js';

/** A value as highlighted JSON, with a caption and a copy button. */
export function jsonBlock(value, caption) {
  const text = formatJson(value);
  return element(
    'figure',
    { class: 'code' },
    element('figcaption', {}, element('span', {}, caption), copyButton(text, caption)),
    element('pre', { tabindex: '0', role: 'group', 'aria-label': caption }, element('code', {}, highlightJson(text))),
  );
}

/** A button that copies `text`, which may be a function that makes it at the time. */
export function copyButton(text, label, face = 'Copy') {
  const button = element('button', { class: 'copy', type: 'button', 'aria-label': `Copy ${label}` }, face);
  button.addEventListener('click', async () => {
    const show = (verb, text) => {
      button.textContent = text;
      button.setAttribute('aria-label', `${verb} ${label}`);
    };
    const told = (await copy(typeof text === 'function' ? text() : text)) ? 'Copied' : 'Not copied';
    show(told, told);
    announce(`${label}: ${told.toLowerCase()}`);
    setTimeout(() => show('Copy', face), 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard API exists only on https and localhost; the old command works on plain http too.
    const area = element('textarea', { class: 'hidden-text', 'aria-hidden': 'true' });
    const focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}

/** JSON with two spaces of indent, where what fits on a line stays on it. */
export function formatJson(value, indent = '', key = '') {
  const line = key + oneLine(value);
  if (value === null || typeof value !== 'object' || (indent && indent.length + line.length <= LINE)) return line;
  const inner = `${indent}  `;
  const items = Array.isArray(value)
    ? value.map((item) => inner + formatJson(item, inner))
    : Object.entries(value).map(([name, item]) => inner + formatJson(item, inner, `${JSON.stringify(name)}: `));
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return items.length ? `${key}${open}\n${items.join(',\n')}\n${indent}${close}` : line;
}

/** JSON on one line, with room to breathe. */
export function oneLine(value) {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${oneLine(item)}`);
  return entries.length ? `{ ${entries.join(', ')} }` : '{}';
}

export function highlightJson(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, key, string, number] = match;
    const kind = key ? 'key' : string ? 'string' : number ? 'number' : 'literal';
    nodes.push(text.slice(end, match.index), element('span', { class: `json-${kind}` }, token));
    end = match.index + token.length;
  }
  return [...nodes, text.slice(end)];
}

const LINE = 46;
const TOKEN = /("(?:[^"\\]|\\.)*"(?=:))|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(?:true|false|null)\b/g;
