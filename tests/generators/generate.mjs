// Feeds AsyncAPI documents to the official generators: node generate.mjs FOLDER FILE…
//
// Modelina's TypeScript models have to have names and pass `tsc --strict`; the official generator's JavaScript and
// Python clients have to be written. Everything is written below FOLDER, for whoever parses it next.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import Generator from '@asyncapi/generator';
import { TypeScriptGenerator } from '@asyncapi/modelina';
import ts from 'typescript';

const [folder, ...files] = process.argv.slice(2);
let faults = 0;
for (const file of files) {
  const name = basename(file, '.json');
  const version = JSON.parse(await readFile(file, 'utf8')).asyncapi;
  // Modelina 5 does not know 3.1.0 and takes it for any JSON; it is 3.0.0 but for its version.
  if (version !== '3.1.0') await models(file, join(folder, `${name}.models.ts`));
  // The templates need operations, which are a thing of 3.x.
  if (version.startsWith('3.')) {
    for (const language of ['javascript', 'python']) await client(file, language, join(folder, `${name}-${language}`));
  }
}
process.exitCode = faults ? 1 : 0;

async function models(file, target) {
  const generator = new TypeScriptGenerator({ rawPropertyNames: true, modelType: 'interface', enumType: 'union' });
  const models = await generator.generate(JSON.parse(await readFile(file, 'utf8')));
  await writeFile(target, models.map((model) => model.result).join('\n\n'));
  const nameless = models.map((model) => model.modelName).filter((name) => /anonym/i.test(name));
  if (nameless.length) fault(file, `models without a name: ${nameless.join(', ')}`);
  const options = { strict: true, noEmit: true, types: [], target: ts.ScriptTarget.ES2022, moduleDetection: ts.ModuleDetectionKind.Force };
  const program = ts.createProgram([target], options);
  for (const { messageText, start } of ts.getPreEmitDiagnostics(program)) {
    fault(target, `at ${start}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
  }
  console.log(`${file}: ${models.length} models`);
}

async function client(file, language, target) {
  await mkdir(target, { recursive: true });
  const template = `core-template-client-websocket-${language}`;
  const generator = new Generator(template, target, { forceWrite: true, templateParams: { server: 'local' } });
  await generator.generateFromFile(file);
  console.log(`${file}: ${language} client`);
}

function fault(file, sentence) {
  faults += 1;
  console.log(`${file}: ${sentence}`);
}
