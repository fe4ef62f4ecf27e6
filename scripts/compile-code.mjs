// compile-code.mjs BUNDLE…: writes the code that this Node's V8 makes of every function, and what it was made from (of
// a large source the digest), beside each bundle of the command line.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import v8 from 'node:v8';
import { Script } from 'node:vm';

export function compile(filename) {
  const bytes = readFileSync(filename);
  const source = bytes.toString('latin1');
  if (/[^\0-\x7f]/.test(source)) throw new Error(`${filename} is not ASCII`);
  v8.setFlagsFromString('--no-lazy');
  const script = new Script(source, { filename });
  // Code made under other flags than those of a start would not be taken.
  v8.setFlagsFromString('--lazy');
  const digest = () => createHash('sha256').update(bytes).digest();
  // As src/cli/main.ts has it.
  const proof = bytes.length <= 256 * 1024 ? bytes : digest();
  writeFileSync(`${filename}.code`, Buffer.concat([script.createCachedData(), proof]));
}

if (import.meta.filename === process.argv[1]) for (const bundle of process.argv.slice(2)) compile(bundle);
