// A small, safe part of Markdown: paragraphs, fenced code, lists, tables, code spans,
// bold, emphasis and http(s) links. All else, HTML above all, stays the text it is.

import { element, fragment, webLink } from './element.js';

/** Renders blocks. */
export function markdown(source) {
  const lines = String(source ?? '').replace(/\r\n?/g, '\n').split('\n');
  const blocks = [];
  while (lines.length) {
    if (!lines[0].trim()) lines.shift();
    else blocks.push((FENCE.test(lines[0]) ? fencedCode : isTable(lines) ? table : ITEM.test(lines[0]) ? list : paragraph)(lines));
  }
  return fragment(...blocks);
}

/** Renders one line: no blocks. */
export function inline(source) {
  const text = String(source ?? '');
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(SPAN)) {
    const { escaped, code, bold, emphasis, label, target, address } = match.groups;
    nodes.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (escaped) nodes.push(escaped);
    else if (code) nodes.push(element('code', {}, code.trim() || code));
    else if (bold) nodes.push(element('strong', {}, inline(bold)));
    else if (emphasis) nodes.push(element('em', {}, inline(emphasis)));
    else if (label) nodes.push(/^https?:/i.test(target) ? webLink(target, inline(label)) : match[0]);
    else nodes.push(webLink(address));
  }
  return fragment(...nodes, text.slice(end));
}

function fencedCode(lines) {
  const fence = FENCE.exec(lines.shift())[1];
  const close = lines.findIndex((line) => line.trim().startsWith(fence));
  const code = lines.splice(0, close < 0 ? lines.length : close);
  lines.shift();
  return element('pre', { tabindex: '0', role: 'group', 'aria-label': 'Code' }, element('code', {}, code.join('\n')));
}

function table(lines) {
  const head = cells(lines.shift());
  lines.shift();
  const rows = [];
  while (lines.length && lines[0].includes('|')) rows.push(cells(lines.shift()));
  return element(
    'div',
    { class: 'table', tabindex: '0', role: 'group', 'aria-label': 'Table' },
    element(
      'table',
      {},
      element('thead', {}, element('tr', {}, head.map((cell) => element('th', { scope: 'col' }, inline(cell))))),
      element('tbody', {}, rows.map((row) => element('tr', {}, head.map((_, i) => element('td', {}, inline(row[i])))))),
    ),
  );
}

function isTable([head, rule]) {
  return head.includes('|') && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(rule ?? '');
}

function cells(line) {
  return line.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function list(lines) {
  const ordered = /\d/.test(ITEM.exec(lines[0])[1]);
  const items = [];
  while (lines.length && lines[0].trim() && !FENCE.test(lines[0])) {
    const line = lines.shift();
    if (ITEM.test(line)) items.push(line.replace(ITEM, ''));
    else items.push(`${items.pop()} ${line.trim()}`);
  }
  return element(ordered ? 'ol' : 'ul', {}, items.map((item) => element('li', {}, inline(item))));
}

function paragraph(lines) {
  const heading = /^#{1,6}\s+(.*)/.exec(lines[0]);
  if (heading) {
    lines.shift();
    return element('p', {}, element('strong', {}, inline(heading[1])));
  }
  const text = [lines.shift().trim()];
  while (lines.length && lines[0].trim() && !FENCE.test(lines[0]) && !ITEM.test(lines[0]) && !isTable(lines)) {
    text.push(lines.shift().trim());
  }
  return element('p', {}, inline(text.join(' ')));
}

const FENCE = /^\s*(```+|~~~+)/;
const ITEM = /^\s*([-*+]|\d{1,9}[.)])\s+/;
const SPAN = new RegExp(
  [
    /\\(?<escaped>[\\`*_[\]|<>#])/,
    /(?<ticks>`+)(?!`)(?<code>.+?)(?<!`)\k<ticks>(?!`)/,
    /\*\*(?=\S)(?<bold>.+?)(?<=\S)\*\*/,
    /(?<mark>\*|(?<!\w)_)(?=[^\s*_])(?<emphasis>.+?)(?<=\S)\k<mark>(?!\w)/,
    /\[(?<label>[^\]]+)\]\((?<target>[^()\s]+)\)/,
    /(?<address>https?:\/\/[^\s<>()"`|]*[\w/#])/,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);
