// Validates AsyncAPI documents with the official parser: node parser.mjs FILE…
// Ends with 1 on any error, warning or unexpected remark, and with 2 when there is nothing to do.

import { readFile } from 'node:fs/promises';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';

const files = process.argv.slice(2);
if (!files.length) {
  console.error('usage: node parser.mjs FILE…');
  process.exit(2);
}

const parser = new Parser();
let refused = 0;
for (const file of files) {
  const { document, diagnostics } = await parser.parse(await readFile(file, 'utf8'), { source: file });
  const faults = diagnostics.filter((diagnostic) => !isAllowed(diagnostic));
  for (const diagnostic of diagnostics) console.log(`${file}:${line(diagnostic)}`);
  // A document with errors comes back undefined; checked too in case the parser says nothing about it.
  const isGood = !faults.length && document !== undefined;
  console.log(`${file}: ${isGood ? 'valid' : `${faults.length} faults`}`);
  if (!isGood) refused += 1;
}
process.exitCode = refused ? 1 : 0;

function isAllowed({ severity, code }) {
  return severity === DiagnosticSeverity.Information && code === 'asyncapi-latest-version';
}

function line({ severity, code, message, path, range }) {
  return `${range.start.line + 1}: ${DiagnosticSeverity[severity].toLowerCase()} ${code}: ${message} (${path.join('/')})`;
}
