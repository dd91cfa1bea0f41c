// A request in other forms: to paste into a program or a shell. No DOM here.

/** The forms that `snippet` knows, in the order in which they are offered. */
export const FORMS = ['JSON', 'websocat', 'TypeScript', 'Python'];

/**
 * A request in one of the forms. It is told as `{operation, operations, frame, url, auth}`: `operations` are all of the
 * document, `frame` is what goes over the wire, and `auth` how a token travels (`query` with the parameter's name, or `protocol`) where there is one. The token
 * itself is never known here: the reader puts it in the place of `<token>`. The typed clients know by themselves how it
 * travels.
 */
export function snippet(form, request) {
  return { JSON: json, websocat, TypeScript: typescript, Python: python }[form](request);
}

function json({ frame }) {
  return JSON.stringify(frame);
}

/** One line for a POSIX shell. A subscription goes on; anything else ends with its reply. */
function websocat({ operation, frame, url, auth }) {
  const options = [operation.updates.length ? '-n' : '-n1'];
  if (auth?.protocol) options.push('--protocol', quote('fastws.v1, bearer.<token>'));
  return `printf '%s\\n' ${quote(JSON.stringify(frame))} | websocat ${options.join(' ')} ${quote(address(url, auth))}`;
}

function typescript({ operation, operations, frame, url, auth }) {
  const token = auth ? ', token: "<token>"' : '';
  const { method, stream } = calls(operation, operations, camelCase);
  const payload = frame.payload === undefined ? '' : typescriptLiteral(frame.payload);
  return lines(
    'import { connect } from "./client.ts";',
    '',
    `const api = connect({ url: ${JSON.stringify(url)}${token} });`,
    `const reply = await api.${method}(${payload});`,
    'console.log(reply);',
    stream ? `for await (const update of api.${stream}(${payload})) console.log(update);` : 'await api.close();',
  );
}

function python({ operation, operations, frame, url, auth }) {
  const token = auth ? ', token="<token>"' : '';
  const { method, stream } = calls(operation, operations, snakeCase);
  const payload = frame.payload === undefined ? '' : pythonLiteral(frame.payload);
  return lines(
    'import asyncio',
    '',
    'from client import connect',
    '',
    '',
    'async def main():',
    `    async with connect(${JSON.stringify(url)}${token}) as api:`,
    `        reply = await api.${method}(${payload})`,
    '        print(reply)',
    stream && `        async for update in api.${stream}(${payload}):`,
    stream && '            print(update)',
    '',
    '',
    'asyncio.run(main())',
  );
}

/**
 * The client's method for an operation, and the one that gives a topic's updates. That one is the neighbour `stream`
 * where no other can be meant, and has the operation's name in its own where one can, and at the top.
 */
function calls({ message, updates }, operations, name) {
  const segments = message.key.split('.').filter(Boolean);
  const method = segments.map(name).join('.');
  if (!updates.length) return { method };
  const home = segments.slice(0, -1);
  const last = segments.at(-1);
  const isNeighbour = ({ direction, message, updates }) => direction === 'send' && updates.length && message.key.split('.').filter(Boolean).slice(0, -1).join('.') === home.join('.');
  const isTheOne = home.length > 0 && (last === 'subscribe' || operations.filter(isNeighbour).length === 1);
  return { method, stream: [...home.map(name), isTheOne ? 'stream' : name(`stream_${last}`)].join('.') };
}

export function camelCase(name) {
  const [first, ...rest] = words(name);
  return [first.toLowerCase(), ...rest.map((word) => word[0].toUpperCase() + word.slice(1).toLowerCase())].join('');
}

export function snakeCase(name) {
  const joined = words(name).join('_').toLowerCase();
  return PYTHON_KEYWORDS.has(joined) ? `${joined}_` : joined;
}

function words(name) {
  const all = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').split(/[^A-Za-z0-9]+/).filter(Boolean);
  return all.length ? all : [name];
}

function address(url, auth) {
  if (!auth?.query) return url;
  return `${url}${url.includes('?') ? '&' : '?'}${encodeURIComponent(auth.query)}=<token>`;
}

/** A word for a POSIX shell, whatever is in it. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function typescriptLiteral(value) {
  if (Array.isArray(value)) return `[${value.map(typescriptLiteral).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, item]) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)}: ${typescriptLiteral(item)}`);
  return fields.length ? `{ ${fields.join(', ')} }` : '{}';
}

function pythonLiteral(value) {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(', ')}]`;
  // A JSON string or number is one in Python too.
  if (typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, item]) => `${pythonLiteral(key)}: ${pythonLiteral(item)}`).join(', ')}}`;
}

function lines(...all) {
  return all.filter((line) => typeof line === 'string').join('\n');
}

const PYTHON_KEYWORDS = new Set(
  'and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield'.split(' '),
);
