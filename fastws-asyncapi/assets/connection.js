// The endpoint: where to connect, how to authenticate, and what ends a connection.

import { textOf } from './closing.js';
import { copyButton } from './code.js';
import { element, fragment } from './element.js';
import { inline, markdown } from './markdown.js';
import { schemaBody } from './schema.js';
import { extensionList } from './operation.js';

/** Everything about one channel. */
export function connectionCard(model, channel) {
  const hasOthers = channel.servers.some((server) => server.url !== channel.url);
  return element(
    'div',
    { class: 'card connection' },
    element(
      'div',
      { class: 'endpoint' },
      element('code', { tabindex: '0', role: 'group', 'aria-label': 'Endpoint' }, channel.url),
      copyButton(channel.url, 'endpoint'),
    ),
    channel.description && element('div', { class: 'prose' }, markdown(channel.description)),
    rules(channel),
    hasOthers && servers(channel),
    authentication(channel),
    handshake(model, channel),
    closeCodes(channel),
    extensionList(channel.extensions),
  );
}

function rules({ path, heartbeat, heartbeatCounts, lifespan }) {
  const rows = [
    ['Path', element('code', {}, path), 'One WebSocket carries all operations.'],
    heartbeat !== undefined && ['Heartbeat', duration(heartbeat), `A connection that is silent for this long is closed${heartbeatCounts ? `; ${heartbeatCounts} will do` : ''}.`],
    lifespan !== undefined && ['Lifespan', duration(lifespan), 'A connection of this age is closed. Connect again then.'],
  ].filter(Boolean);
  return element(
    'dl',
    { class: 'rules' },
    rows.map(([name, value, note]) => element('div', {}, element('dt', {}, name), element('dd', {}, value), element('dd', { class: 'small' }, note))),
  );
}

function servers({ servers }) {
  return part(
    'Servers',
    element(
      'dl',
      { class: 'rows' },
      servers.map(({ name, url, description }) =>
        element('div', {}, element('dt', {}, name), element('dd', {}, element('code', {}, url), description && [' ', inline(description)])),
      ),
    ),
  );
}

function authentication({ servers }) {
  const choices = new Map(servers.flatMap((server) => server.security).map((all) => [all.map(({ name }) => name).join(), all]));
  if (![...choices.values()].some((all) => all.length)) return undefined;
  return part(
    choices.size > 1 ? 'Authentication: any one of' : 'Authentication',
    element(
      'dl',
      { class: 'rows' },
      [...choices.values()].map((all) =>
        element(
          'div',
          {},
          element('dt', {}, all.map(({ name }) => name).join(' and ') || 'none'),
          element('dd', {}, all.length ? all.map((scheme) => inline(scheme.description ?? schemeText(scheme))) : 'An anonymous connection is accepted.'),
        ),
      ),
    ),
  );
}

function schemeText({ type, scheme, in: place }) {
  return [type, scheme, place && `in ${place}`].filter(Boolean).join(', ');
}

function handshake(model, { bindings }) {
  const fields = (label, schema) => Object.keys(schema?.properties ?? {}).length > 0 && part(label, schemaBody(model, schema));
  return fragment(fields('Query parameters', bindings.query), fields('Headers', bindings.headers));
}

function closeCodes({ closeCodes }) {
  if (!closeCodes.length) return undefined;
  return part(
    'Close codes',
    element(
      'dl',
      { class: 'rows codes' },
      closeCodes.map(([code, meaning]) => element('div', {}, element('dt', {}, element('code', {}, code)), element('dd', {}, inline(textOf(meaning))))),
    ),
  );
}

function part(label, content) {
  return fragment(element('h3', { class: 'label' }, label), content);
}

/** Seconds in the largest unit that divides them. */
function duration(seconds) {
  for (const [unit, length] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (seconds >= length && seconds % length === 0) return `${seconds / length} ${unit}${seconds === length ? '' : 's'}`;
  }
  return `${seconds} second${seconds === 1 ? '' : 's'}`;
}
