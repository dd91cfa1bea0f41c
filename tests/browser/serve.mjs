// A small stand-in for the server: the page, its assets and one document, on a free loopback port.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';

/** Serves the page at `docs`; `close` ends it. */
export async function serve(documentFile, docs = '/api/v1/ws/asyncapi') {
  const name = basename(docs);
  const template = await readFile(new URL('page.html', ASSETS), 'utf8');
  const document = await readFile(documentFile, 'utf8');
  const marks = { title: escape(JSON.parse(document).info.title), document: `${name}.json`, yaml: '', assets: `${name}/` };
  const page = template.replace(/\{\{(\w+)\}\}/g, (_, mark) => marks[mark]);

  const answer = async (path) => {
    if (path === docs) return ['text/html; charset=utf-8', page];
    if (path === `${docs}.json`) return ['application/json', document];
    if (!path.startsWith(`${docs}/`)) return undefined;
    const file = basename(path);
    if (file.startsWith('client.')) return ['text/plain; charset=utf-8', 'The server writes its clients; this one has none.\n'];
    const type = TYPES[extname(file)];
    return type && [type, await readFile(new URL(file, ASSETS))];
  };
  const server = createServer(async (request, response) => {
    const found = await answer(new URL(request.url, 'http://localhost').pathname).catch(() => undefined);
    const [type, body] = found ?? ['text/plain', 'not found'];
    response.writeHead(found ? 200 : 404, {
      'content-type': type,
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
    });
    response.end(body);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  };
}

function escape(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const ASSETS = new URL('../../fastws-asyncapi/assets/', import.meta.url);
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
