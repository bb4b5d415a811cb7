// Whether an AsyncAPI document is valid, by the public parser. Errors and warnings both count.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

// The parser lies in .tools, not beside this file.
const [tools, file] = process.argv.slice(2);
const { Parser } = createRequire(`${tools}/package.json`)('@asyncapi/parser');

const ERROR = 0;
const WARNING = 1;

async function mistakes(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  const found = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
  return { document, found: found.map(({ path, message }) => `${path.join('.')}: ${message}`) };
}

const text = await readFile(file, 'utf8');

// A check that takes everything checks nothing.
const broken = JSON.parse(text);
delete broken.info.title;
const [operation] = Object.values(broken.operations);
operation.channel.$ref = '#/channels/nowhere';
if ((await mistakes(JSON.stringify(broken))).found.length === 0) {
  console.error('validate-asyncapi: the parser takes a document that is broken');
  process.exit(2);
}

const { document, found } = await mistakes(text);
if (!document || found.length > 0) {
  console.error(`validate-asyncapi: ${file} is not valid:`);
  found.forEach((mistake) => console.error(`  ${mistake}`));
  process.exit(1);
}
const [channels, messages] = [document.channels().all().length, document.messages().all().length];
console.log(`${file} is valid AsyncAPI ${document.version()}: ${channels} channels, ${messages} messages`);
