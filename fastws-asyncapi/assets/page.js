// The docs page: fetches its AsyncAPI document and shows it.
//
//   document.js    the document as a model, no DOM
//   connection.js  endpoint, authentication, close codes
//   operation.js   one card per operation
//   schema.js      JSON Schema as a tree of fields
//   markdown.js    the safe part of Markdown
//   code.js        JSON to read and to copy
//   element.js     DOM building
//   sidebar.js     contents, filter, current section
//   console.js     the live console, with its own list of modules

import { element, fragment, webLink } from './element.js';
import { markdown } from './markdown.js';
import { extensions, fetchDocument, readDocument } from './document.js';
import { connectionCard } from './connection.js';
import { addConsole } from './console.js';
import { extensionList, linkedHeading, operationCard, operationLink } from './operation.js';
import { schemaBody, schemaDescription, typeLabel } from './schema.js';
import { showSidebar } from './sidebar.js';

const content = document.getElementById('content');
const address = document.querySelector('link[rel="alternate"]').href;
const THEME = 'fastws-theme';

followTheme(document.getElementById('theme'));
await showPage();

async function showPage() {
  content.setAttribute('aria-busy', 'true');
  try {
    const model = readDocument(await fetchDocument(address), location);
    content.replaceChildren(page(model));
    showSidebar(document.getElementById('sidebar'), document.getElementById('menu'), contents(model));
    addConsole(model, document.getElementById('console-toggle'));
  } catch (error) {
    content.replaceChildren(failure(error));
    console.warn(`the AsyncAPI document ${address} cannot be shown`, error);
  }
  content.setAttribute('aria-busy', 'false');
  // The browser looked for the target before it existed.
  if (location.hash) location.replace(location.hash);
}

function page(model) {
  return fragment(
    overview(model),
    element(
      'section',
      { id: 'connection', 'aria-labelledby': 'connection-name' },
      linkedHeading('h2', 'connection', 'Connection'),
      model.channels.map((channel) => connectionCard(model, channel)),
    ),
    model.groups.map((group) => groupSection(model, group)),
    model.schemas.length > 0 && schemasSection(model),
    element('footer', {}, `AsyncAPI ${model.source.asyncapi}`, model.source.id && ` · ${model.source.id}`),
  );
}

function overview({ info, source }) {
  const { contact = {}, license, termsOfService } = info;
  const links = [
    contact.url && ['Contact', webLink(contact.url, contact.name ?? contact.url)],
    contact.email && [contact.url ? 'Mail' : 'Contact', webLink(`mailto:${contact.email}`, contact.email)],
    contact.name && !contact.url && !contact.email && ['Contact', contact.name],
    license?.name && ['Licence', webLink(license.url ?? '', license.name)],
    termsOfService && ['Terms', webLink(termsOfService, 'Terms of service')],
    source.externalDocs?.url && ['More', webLink(source.externalDocs.url, source.externalDocs.description ?? source.externalDocs.url)],
  ].filter(Boolean);
  return element(
    'section',
    { id: 'overview', class: 'overview', 'aria-labelledby': 'overview-name' },
    element('h1', { id: 'overview-name' }, info.title ?? 'API', info.version && element('span', { class: 'version' }, info.version)),
    info.description && element('div', { class: 'prose lead' }, markdown(info.description)),
    links.length > 0 && element('dl', { class: 'meta' }, links.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))),
    extensionList(extensions(info)),
  );
}

function groupSection(model, group) {
  return element(
    'section',
    { id: group.id, 'aria-labelledby': `${group.id}-name` },
    linkedHeading('h2', group.id, group.name),
    group.description && element('div', { class: 'prose' }, markdown(group.description)),
    group.operations.map((operation) => operationCard(model, operation)),
  );
}

function schemasSection(model) {
  return element(
    'section',
    { id: 'schemas', 'aria-labelledby': 'schemas-name' },
    linkedHeading('h2', 'schemas', 'Schemas'),
    model.schemas.map((schema) => schemaCard(model, schema)),
  );
}

function schemaCard(model, { name, id, schema, usedBy }) {
  const description = schemaDescription(model, schema);
  const inner = model.resolve(schema).schema;
  return element(
    'article',
    { id, class: 'card schema', 'aria-labelledby': `${id}-name` },
    linkedHeading('h3', id, element('code', {}, name)),
    element('p', { class: 'type' }, typeLabel(model, inner)),
    description && element('div', { class: 'prose' }, markdown(description)),
    schemaBody(model, schema, [name]),
    usedBy.length > 0 && element('p', { class: 'used-by' }, 'Used by ', usedBy.map((key, i) => [i > 0 && ', ', operationLink(model, key)])),
  );
}

function contents(model) {
  return [
    { label: 'Start', links: [{ id: 'overview', text: 'Overview' }, { id: 'connection', text: 'Connection' }] },
    ...model.groups.map((group) => ({
      label: group.name,
      id: group.id,
      links: group.operations.map(({ message, direction }) => ({
        id: message.id,
        text: message.key,
        words: [message.title, message.summary, group.name, message['x-topic']].filter(Boolean).join(' '),
        kind: direction,
        isDeprecated: message.deprecated,
      })),
    })),
    ...(model.schemas.length ? [{ label: 'Schemas', id: 'schemas', links: model.schemas.map(({ name, id }) => ({ id, text: name })) }] : []),
  ];
}

function failure(error) {
  return element(
    'section',
    { class: 'card failure', role: 'alert' },
    element('h1', {}, 'The document could not be shown'),
    element('p', {}, 'Document: ', element('a', { href: address }, address)),
    element('p', {}, 'Reason: ', element('span', { class: 'reason' }, error.message), '.'),
    element('button', { type: 'button', onclick: showPage }, 'Try again'),
  );
}

/** The system's theme until the reader chooses; the choice is remembered where the browser allows it. */
function followTheme(button) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const show = () => button.setAttribute('aria-pressed', String(isDark()));
  const chosen = stored(() => localStorage.getItem(THEME));
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
  button.addEventListener('click', () => {
    const theme = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    stored(() => localStorage.setItem(THEME, theme));
    show();
  });
  system.addEventListener('change', show);
  button.hidden = false;
  show();
}

function stored(access) {
  try {
    return access();
  } catch (error) {
    // Storage may be switched off or full; the theme then lasts as long as the page.
    if (!(error instanceof DOMException)) throw error;
    return null;
  }
}
