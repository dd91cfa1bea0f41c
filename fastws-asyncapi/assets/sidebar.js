// The contents at the side: links by tag, a filter, and the mark on what is being read.

import { element } from './element.js';

/** Fills the sidebar and keeps it in step with the page. `sections` are `{label, id?, links}`. */
export function showSidebar(nav, menu, sections) {
  const filter = element('input', {
    id: 'filter',
    type: 'search',
    placeholder: 'Filter',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-label': 'Filter operations and schemas',
    'aria-keyshortcuts': '/',
  });
  const nothing = element('p', { class: 'nothing', role: 'status' });
  nav.replaceChildren(
    element('div', { class: 'filter' }, filter, element('kbd', { 'aria-hidden': 'true' }, '/')),
    nothing,
    ...sections.map(section),
  );
  nav.hidden = false;
  menu.hidden = false;
  filterLinks(nav, filter, nothing);
  openAndClose(nav, menu, filter);
  markCurrent(nav);
}

function section({ label, id, links }) {
  return element(
    'section',
    { class: 'links', 'aria-label': label },
    label && element('p', { class: 'label' }, id ? element('a', { href: `#${encodeURIComponent(id)}` }, label) : label),
    element('ul', {}, links.map(link)),
  );
}

function link({ id, text, words, kind, isDeprecated }) {
  return element(
    'li',
    { 'data-words': [text, words].filter(Boolean).join(' ').toLowerCase() },
    element(
      'a',
      { href: `#${encodeURIComponent(id)}`, class: kind, title: text },
      kind && element('span', { class: 'arrow', 'aria-hidden': 'true' }, kind === 'send' ? '↑' : '↓'),
      element(isDeprecated ? 's' : 'span', {}, text),
    ),
  );
}

function filterLinks(nav, filter, nothing) {
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of nav.querySelectorAll('li')) item.hidden = !words.every((word) => item.dataset.words.includes(word));
    for (const part of nav.querySelectorAll('section')) part.hidden = !part.querySelector('li:not([hidden])');
    nothing.textContent = nav.querySelector('li:not([hidden])') ? '' : 'Nothing matches.';
  };
  filter.addEventListener('input', apply);
  filter.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') nav.querySelector('li:not([hidden]) a')?.click();
    if (event.key !== 'Escape' || !filter.value) return;
    event.stopPropagation();
    filter.value = '';
    apply();
  });
}

function openAndClose(nav, menu, filter) {
  const setOpen = (isOpen) => {
    menu.setAttribute('aria-expanded', String(isOpen));
    nav.classList.toggle('open', isOpen);
  };
  menu.addEventListener('click', () => setOpen(menu.getAttribute('aria-expanded') !== 'true'));
  nav.addEventListener('click', (event) => event.target.closest('a') && setOpen(false));
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && nav.classList.contains('open')) {
      setOpen(false);
      menu.focus();
    }
    const isTyping = event.target.closest?.('input, textarea, select, [contenteditable]');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    setOpen(true);
    filter.focus();
  });
}

/** Marks the link of the last section that starts above the upper third of the window. */
function markCurrent(nav) {
  const links = new Map([...nav.querySelectorAll('li a')].map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const targets = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  let current;
  const mark = () => {
    const edge = innerHeight / 3;
    const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    // Close to the end of the page a section cannot reach the top: then what was asked for counts.
    const asked = isAtEnd && targets.find((target) => target.matches(':target'));
    const isAskedVisible = asked && asked.getBoundingClientRect().top < innerHeight && asked.getBoundingClientRect().bottom > 0;
    const target = isAskedVisible ? asked : targets.findLast((target) => target.getBoundingClientRect().top <= edge) ?? targets[0];
    const link = links.get(target?.id);
    if (link === current) return;
    current?.removeAttribute('aria-current');
    link?.setAttribute('aria-current', 'location');
    current = link;
    keepInView(nav, link);
  };
  let isAsked = false;
  const soon = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      mark();
    });
  };
  for (const event of ['scroll', 'resize', 'hashchange']) addEventListener(event, soon, { passive: true });
  mark();
}

function keepInView(nav, link) {
  if (!link) return;
  const [outer, inner] = [nav.getBoundingClientRect(), link.getBoundingClientRect()];
  if (inner.top < outer.top + 80) nav.scrollTop += inner.top - outer.top - 80;
  if (inner.bottom > outer.bottom - 24) nav.scrollTop += inner.bottom - outer.bottom + 24;
}
