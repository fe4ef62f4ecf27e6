// compile-code.mjs BUNDLE…: writes the code that this Node's V8 makes of every function beside each bundle of the command line.
import { readFileSync, writeFileSync } from 'node:fs';
import v8 from 'node:v8';
import { Script } from 'node:vm';

export function compile(filename) {
  const source = readFileSync(filename, 'latin1');
  if (/[^\0-\x7f]/.test(source)) throw new Error(`${filename} is not ASCII`);
  v8.setFlagsFromString('--no-lazy');
  const script = new Script(source, { filename });
  // Code made under other flags than those of a start would not be taken.
  v8.setFlagsFromString('--lazy');
  writeFileSync(`${filename}.code`, script.createCachedData());
}

if (import.meta.filename === process.argv[1]) for (const bundle of process.argv.slice(2)) compile(bundle);
