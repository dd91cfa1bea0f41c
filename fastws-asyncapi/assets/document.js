// Reading an AsyncAPI 2.x document into what the page shows. No DOM here.

/** Fetches the document; the error says what happened in words a reader can act on. */
export async function fetchDocument(url) {
  let response;
  try {
    response = await fetch(url, { headers: { accept: 'application/vnd.aai.asyncapi+json, application/json' } });
  } catch (error) {
    throw new Error(`the server could not be reached (${error.message})`);
  }
  if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`.trim());
  let source;
  try {
    source = JSON.parse(await response.text());
  } catch (error) {
    throw new Error(`it is not valid JSON (${error.message})`);
  }
  const version = source?.asyncapi;
  if (typeof version !== 'string') throw new Error('it is not an AsyncAPI document: it has no version in `asyncapi`');
  if (!version.startsWith('2.')) throw new Error(`this page reads AsyncAPI 2.x, and the document is of version ${version}`);
  return source;
}

/**
 * The model of a document: `info`, `channels`, `groups` of operations by tag, and `schemas`.
 * `location` tells where the page is served from.
 */
export function readDocument(source, location) {
  const refs = references(source);
  const channels = Object.entries(source.channels ?? {}).map(([path, value]) =>
    channel(source, refs.resolve(value).schema, path, location),
  );
  const operations = pairReplies(refs, channels.flatMap((channel) => channel.operations));
  const messages = operations.flatMap(({ message, reply }) => (reply ? [message, reply] : [message]));
  const envelopes = new Set(messages.map((message) => message.envelope).filter(Boolean));
  const uses = schemaUses(source, messages);
  const schemas = Object.entries(source.components?.schemas ?? {})
    .filter(([name]) => !envelopes.has(name))
    .map(([name, schema]) => ({ name, id: schemaId(name), schema, usedBy: uses.get(name) ?? [] }));
  const names = new Set(schemas.map(({ name }) => name));
  return {
    source,
    info: source.info ?? {},
    channels,
    operations,
    groups: groupByTag(source, operations),
    schemas,
    messageKeys: new Set(messages.map(({ key }) => key)),
    resolve: refs.resolve,
    hasSchema: (name) => names.has(name),
  };
}

export const operationId = (key) => `operation-${key}`;
export const schemaId = (name) => `schema-${name}`;

/** The `x-…` members of an object that no other part of the page has used. */
export function extensions(object, used = []) {
  return Object.entries(object ?? {}).filter(([key]) => key.startsWith('x-') && !key.startsWith('x-parser-') && !used.includes(key));
}

function channel(source, value, path, location) {
  const refs = references(source);
  // In AsyncAPI 2.x `publish` is what a client may publish: client → server.
  const read = (operation, direction) =>
    messagesOf(refs, operation).map(({ ref, message }) => ({ direction, channel: path, message: readMessage(refs, ref, message) }));
  const servers = Object.entries(source.servers ?? {})
    .filter(([name]) => !value.servers?.length || value.servers.includes(name))
    .map(([name, server]) => readServer(source, name, server, path, location));
  return {
    path,
    description: value.description,
    servers,
    url: servers.find((server) => server.isHere)?.url ?? servers[0]?.url ?? hereUrl(location, path),
    // Where the console connects: a page may speak to its own server alone.
    hereUrl: servers.find((server) => server.isHere)?.url ?? hereUrl(location, path),
    bindings: value.bindings?.ws ?? {},
    heartbeat: value['x-heartbeat-interval-seconds'],
    heartbeatCounts: value['x-heartbeat-counts'],
    lifespan: value['x-max-connection-lifespan-seconds'],
    closeCodes: Object.entries(value['x-close-codes'] ?? {}),
    extensions: extensions(value, ['x-heartbeat-interval-seconds', 'x-heartbeat-counts', 'x-max-connection-lifespan-seconds', 'x-close-codes']),
    operations: [...read(value.publish, 'send'), ...read(value.subscribe, 'receive')],
  };
}

function messagesOf(refs, operation) {
  const message = operation?.message;
  if (!message) return [];
  return (message.oneOf ?? [message]).map((item) => ({ ref: item.$ref, message: refs.resolve(item).schema }));
}

function readMessage(refs, ref, message) {
  const key = (ref && lastSegment(ref)) ?? message.messageId ?? message.name ?? 'message';
  const { schema: frame, name } = refs.resolve(message.payload ?? {});
  const type = refs.resolve(frame?.properties?.type ?? {}).schema;
  const isEnvelope = typeof (type?.const ?? (type?.enum?.length === 1 && type.enum[0])) === 'string';
  return {
    ...message,
    key,
    id: operationId(key),
    examples: (message.examples ?? []).filter((example) => example && 'payload' in example),
    frame: message.payload === undefined ? undefined : frame,
    envelope: isEnvelope ? name : undefined,
    ...body(refs, isEnvelope ? frame : undefined, message.payload),
  };
}

/**
 * What the frame carries: its `payload` where the frame is an envelope around one, all but the
 * `type` where the fields lie flat in the frame, or nothing.
 */
function body(refs, envelope, whole) {
  if (!envelope) return { body: whole, isOptional: false };
  const { type, id, payload, ...flat } = envelope.properties;
  if (payload !== undefined) {
    const isNothing = refs.resolve(payload).schema?.type === 'null';
    return { body: isNothing ? undefined : payload, isOptional: !envelope.required?.includes('payload') };
  }
  if (!Object.keys(flat).length) return { body: undefined };
  return { body: { ...envelope, title: undefined, description: undefined, properties: flat }, isFlat: true };
}

/** Puts each reply inside its request, and links topics' requests with their updates both ways. */
function pairReplies(refs, operations) {
  const byKey = new Map(operations.map((operation) => [operation.message.key, operation]));
  const replies = new Set();
  const shown = new Set();
  for (const operation of operations) {
    operation.updates = list(operation.message['x-updates']).map(String);
    operation.causes = [];
    const response = operation.message['x-response'];
    const key = response?.$ref ? lastSegment(response.$ref) : response?.messageId ?? response?.name;
    operation.reply = byKey.get(key)?.message ?? replyOutsideChannels(refs, response);
    if (operation.direction !== 'send' || !operation.reply) continue;
    replies.add(key);
    operation.ownsReply = !shown.has(key);
    shown.add(key);
  }
  for (const operation of operations) {
    for (const key of operation.updates) byKey.get(key)?.causes.push(operation.message.key);
  }
  // A message may stand in several channels; its first place is the one with the deep link.
  return operations.filter(
    (operation) => byKey.get(operation.message.key) === operation && (operation.direction === 'send' || !replies.has(operation.message.key)),
  );
}

function replyOutsideChannels(refs, response) {
  if (!response) return undefined;
  const { schema: message, broken } = refs.resolve(response);
  return broken ? undefined : readMessage(refs, response.$ref, message);
}

function groupByTag(source, operations) {
  const groups = new Map();
  for (const tag of source.tags ?? []) groups.set(tag.name, { ...tag, operations: [] });
  for (const operation of operations) {
    const tag = operation.message.tags?.[0] ?? { name: 'Other messages' };
    if (!groups.has(tag.name)) groups.set(tag.name, { ...tag, operations: [] });
    groups.get(tag.name).operations.push(operation);
  }
  return [...groups.values()]
    .filter((group) => group.operations.length)
    .map((group) => ({ ...group, id: `tag-${group.name.replace(/\s+/g, '-')}` }));
}

function readServer(source, name, server, path, location) {
  const variables = server.variables ?? {};
  const scheme = server.protocol ?? 'ws';
  const template = server.url?.includes('://') ? server.url : `${scheme}://${server.url ?? ''}`;
  const isHere = matchesHere(template, variables, location);
  const filled = template.replace(/\{([^}]+)\}/g, (whole, variable) => variables[variable]?.default ?? whole);
  return {
    name,
    isHere,
    protocol: server.protocol,
    description: server.description,
    url: isHere ? hereUrl(location, path, template) : joinPath(filled, path),
    security: (server.security ?? []).map((requirement) =>
      Object.keys(requirement).map((name) => {
        const scheme = source.components?.securitySchemes?.[name];
        return { ...scheme, name, parameter: scheme?.name };
      }),
    ),
  };
}

/** Whether the page itself comes from this server, whatever its variables stand for. */
function matchesHere(template, variables, location) {
  const host = template.replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '');
  const pattern = host
    .split(/(\{[^}]+\})/)
    .map((part) => {
      const choices = variables[part.slice(1, -1)]?.enum;
      if (!part.startsWith('{')) return escapePattern(part);
      return choices ? `(?:${choices.map(escapePattern).join('|')})` : '[^/:]+';
    })
    .join('');
  const port = location.port || (location.protocol === 'https:' ? '443' : '80');
  return [location.host, `${location.hostname}:${port}`].some((here) => new RegExp(`^${pattern}$`, 'i').test(here));
}

function hereUrl(location, path, template = '') {
  const base = template.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/\{[^}]+\}/g, '');
  return joinPath(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${base}`, path);
}

function joinPath(base, path) {
  return base.replace(/\/$/, '') + (path.startsWith('/') ? path : `/${path}`);
}

/** For each component schema the keys of the messages that reach it. */
function schemaUses(source, messages) {
  const refs = references(source);
  const uses = new Map();
  for (const message of messages) {
    const seen = new Set();
    const left = [message.payload];
    while (left.length) {
      const value = left.pop();
      if (value === null || typeof value !== 'object') continue;
      if (typeof value.$ref === 'string' && !seen.has(value.$ref)) {
        seen.add(value.$ref);
        const name = componentName(value.$ref);
        if (name) uses.set(name, [...(uses.get(name) ?? []), message.key]);
        left.push(refs.lookup(value.$ref));
      }
      left.push(...Object.values(value));
    }
  }
  for (const [name, keys] of uses) uses.set(name, [...new Set(keys)]);
  return uses;
}

/** Follows local `$ref`s; a chain that has no end, or leaves the document, is `broken`. */
function references(source) {
  const lookup = (ref) => {
    if (!ref.startsWith('#/')) return undefined;
    return ref.slice(2).split('/').reduce((value, segment) => {
      const key = decodePointer(segment);
      return value !== null && typeof value === 'object' && Object.hasOwn(value, key) ? value[key] : undefined;
    }, source);
  };
  const resolve = (schema) => {
    const seen = new Set();
    let name;
    while (schema !== null && typeof schema === 'object' && typeof schema.$ref === 'string') {
      const ref = schema.$ref;
      name ??= componentName(ref);
      schema = seen.has(ref) ? undefined : lookup(ref);
      if (schema === undefined) return { schema: {}, broken: ref };
      seen.add(ref);
    }
    return { schema: schema ?? {}, name };
  };
  return { lookup, resolve };
}

function componentName(ref) {
  const match = /^#\/components\/schemas\/([^/]+)$/.exec(ref);
  return match ? decodePointer(match[1]) : undefined;
}

function lastSegment(ref) {
  return decodePointer(ref.slice(ref.lastIndexOf('/') + 1));
}

function decodePointer(segment) {
  let text = segment;
  try {
    text = decodeURIComponent(segment);
  } catch {
    // A stray `%` means the segment was never percent-encoded: it stands for itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}

function escapePattern(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function list(value) {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}
