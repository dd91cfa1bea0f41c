// One operation as a card: what the client sends, what comes back, what follows.

import { jsonBlock } from './code.js';
import { badge, disclosure, element, fragment, webLink } from './element.js';
import { inline, markdown } from './markdown.js';
import { schemaBody, schemaDescription, typeLabel } from './schema.js';
import { extensions, operationId } from './document.js';

/** A request with its reply inside, or a message of the server alone. */
export function operationCard(model, operation) {
  const { message, reply, direction } = operation;
  return element(
    'article',
    { id: message.id, class: `card operation ${direction}`, 'aria-labelledby': `${message.id}-name` },
    element(
      'header',
      {},
      element('p', { class: 'badges' }, directionBadge(direction), messageBadges(message)),
      messageHeading('h3', message),
      summary(message),
      direction === 'send' && tryButtons(operation),
    ),
    facts(model, operation),
    messageBody(model, message, 'h4'),
    direction === 'send' && reply && replySection(model, operation),
  );
}

/** What opens the console; it listens for these itself. */
function tryButtons({ message, updates }) {
  const { key } = message;
  return element(
    'p',
    { class: 'try' },
    element('button', { type: 'button', 'data-try': key, 'aria-label': `Try it: ${key}` }, 'Try it'),
    updates.length > 0 && element('button', { type: 'button', 'data-subscribe': key, 'aria-label': `Subscribe: the example of ${key}` }, 'Subscribe'),
  );
}

export function operationLink(model, key) {
  const name = element('code', {}, key);
  return model.messageKeys.has(key) ? element('a', { href: `#${encodeURIComponent(operationId(key))}` }, name) : name;
}

/** A heading with a link to itself. */
export function linkedHeading(tag, id, ...content) {
  return element(tag, { id: `${id}-name` }, ...content, ' ', selfLink(id, 'Link to this'));
}

/** Key and value lines for `x-…` members that the page has no better place for. */
export function extensionList(entries) {
  if (!entries.length) return undefined;
  const text = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  return element(
    'dl',
    { class: 'extensions' },
    entries.map(([key, value]) => element('div', {}, element('dt', {}, key), element('dd', {}, text(value)))),
  );
}

function replySection(model, { reply, ownsReply }) {
  const id = ownsReply ? reply.id : undefined;
  const headingId = `${reply.id}-name`;
  return element(
    'section',
    { id, class: 'reply', 'aria-labelledby': ownsReply ? headingId : undefined },
    element(
      'header',
      {},
      element('p', { class: 'badges' }, directionBadge('receive'), badge('plain', 'reply'), messageBadges(reply)),
      ownsReply ? messageHeading('h4', reply) : element('h4', {}, operationLink(model, reply.key)),
      summary(reply),
    ),
    ownsReply && fragment(extensionList(otherExtensions(reply)), messageBody(model, reply, 'h5')),
  );
}

function messageHeading(tag, { id, key, deprecated }) {
  const name = element(deprecated ? 's' : 'span', {}, key);
  return element(tag, { id: `${id}-name`, class: 'message-name' }, element('code', {}, name), ' ', selfLink(id, `Link to ${key}`));
}

function selfLink(id, label) {
  return element('a', { class: 'anchor', href: `#${encodeURIComponent(id)}`, 'aria-label': label }, '#');
}

function summary({ title, key, summary, description, externalDocs }) {
  return element(
    'div',
    { class: 'prose' },
    title && title !== key && element('p', { class: 'title' }, title),
    summary && element('p', {}, inline(summary)),
    description && description !== summary && markdown(description),
    externalDocs?.url && element('p', {}, webLink(externalDocs.url, externalDocs.description ?? externalDocs.url)),
  );
}

function directionBadge(direction) {
  return direction === 'send' ? badge('send', 'client → server') : badge('receive', 'server → client');
}

function messageBadges(message) {
  const scopes = BADGES.flatMap((key) => {
    const word = key.replace(/^x-|s$/g, '');
    return [].concat(message[key] ?? []).map((scope) => badge('scope', word, ' ', element('code', {}, String(scope))));
  });
  return [(message.deprecated || message['x-deprecated']) && badge('deprecated', 'deprecated'), scopes];
}

function facts(model, { direction, message, reply, updates, causes, channel }) {
  const topic = message['x-topic'];
  const correlation = model.resolve(message.correlationId ?? {}).schema.location?.split('#/')[1];
  const rows = [
    model.channels.length > 1 && ['Endpoint', element('code', {}, channel)],
    topic && ['Topic', topicTemplate(String(topic))],
    updates.length > 0 && ['Updates', links(model, updates)],
    causes.length > 0 && ['Follows', links(model, causes)],
    message['x-unsubscribe'] && ['Ended by', links(model, [String(message['x-unsubscribe'])])],
    direction === 'send' && ['Reply', reply ? operationLink(model, reply.key) : 'none'],
    direction === 'send' && reply && correlation && ['Correlation', [element('code', {}, correlation), ' is echoed by the reply']],
    message.contentType && message.contentType !== 'application/json' && ['Content type', element('code', {}, message.contentType)],
  ].filter(Boolean);
  return fragment(
    rows.length > 0 &&
      element('dl', { class: 'facts' }, rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))),
    extensionList(otherExtensions(message)),
  );
}

function links(model, keys) {
  return keys.map((key, i) => [i > 0 && ', ', operationLink(model, key)]);
}

function topicTemplate(template) {
  return element('code', { class: 'topic' }, template.split(/(\{[^}]*\})/).map((part) => (part.startsWith('{') ? element('b', {}, part) : part)));
}

function otherExtensions(message) {
  return extensions(message, ['x-response', 'x-topic', 'x-updates', 'x-unsubscribe', 'x-deprecated', ...BADGES]);
}

/** Payload first, the frame around it second, examples beside them. */
function messageBody(model, message, heading) {
  return element(
    'div',
    { class: message.examples.length ? 'message with-examples' : 'message' },
    element('div', { class: 'shape' }, payload(model, message, heading), frame(model, message)),
    message.examples.length > 0 && element('div', { class: 'examples' }, message.examples.map((example, i) => exampleBlock(message, example, i))),
  );
}

function payload(model, { body, isOptional, isFlat }, heading) {
  if (body === undefined) return element(heading, { class: 'label' }, 'No payload');
  const description = schemaDescription(model, body);
  return fragment(
    element(
      heading,
      { class: 'label' },
      isFlat ? 'Fields ' : ['Payload ', element('span', { class: 'type' }, typeLabel(model, body))],
      isOptional && [' ', badge('plain', 'optional')],
    ),
    description && element('div', { class: 'prose small' }, markdown(description)),
    schemaBody(model, body),
  );
}

function frame(model, { frame, envelope }) {
  if (!envelope) return undefined;
  const keys = Object.keys(frame.properties);
  const label = ['Whole frame ', element('span', { class: 'keys' }, keys.map((key, i) => [i > 0 && ' ', element('code', {}, key)]))];
  return disclosure(label, () => schemaBody(model, { ...frame, title: undefined }));
}

function exampleBlock(message, { name, summary, payload }, i) {
  const caption = summary ?? name ?? (message.examples.length > 1 ? `Example ${i + 1}` : 'Example');
  const block = () => jsonBlock(payload, caption);
  return i === 0 ? block() : disclosure([caption], block);
}

const BADGES = ['x-scope', 'x-scopes'];
