#!/usr/bin/env -S node --
import type * as crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import type { runCli } from './run-cli.js';

const FOLDER = import.meta.dirname;
/** Up to here a source is compared itself, which takes less than loading what makes digests. */
const SMALL_BYTES = 256 * 1024;
const args = process.argv.slice(2);

// Asked by scripts before anything else: answered without loading the rest.
if (args.length === 1 && (args[0] === '--version' || args[0] === 'version')) {
  const text = readFileSync(join(FOLDER, '../../package.json'), 'utf8');
  process.stdout.write(`sjs ${(JSON.parse(text) as { version: string }).version}\n`);
} else {
  const requireNode = createRequire(join(FOLDER, 'main.cjs'));
  const loaded = new Map<string, unknown>();
  const load = (id: string): unknown => {
    if (!id.startsWith('./')) return requireNode(id);
    if (!loaded.has(id)) loaded.set(id, loadBundle(id, load));
    return loaded.get(id);
  };
  const run = async (bundle: string, isPart: boolean): Promise<void> =>
    (load(bundle) as { runCli: typeof runCli }).runCli(args, isPart);
  // A call of a pool takes little longer than Node's own start: it loads nothing but what that takes.
  const isWarm = ['run', 'call'].includes(args[0] ?? '') && beforeArguments(args).includes('--warm');
  void (isWarm ? run('./warm.cjs', true) : Promise.resolve()).then(() => run('./run-cli.cjs', false));
}

function beforeArguments(words: readonly string[]): readonly string[] {
  return words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
}

/**
 * Loads a bundle of this folder with the code that V8 compiled when it was built: parsing it anew costs 30 ms a start.
 * Another version of Node does not take that code and compiles the bundle itself.
 */
function loadBundle(name: string, require: (id: string) => unknown): unknown {
  const filename = join(FOLDER, name);
  const source = readFileSync(filename);
  // The build has made sure that it is ASCII, and this is the fastest way to read that.
  const script = new Script(source.toString('latin1'), {
    filename,
    cachedData: readCode(filename, source, require),
  });
  const define = script.runInThisContext() as (...scope: unknown[]) => unknown;
  return define(require, FOLDER, pathToFileURL(filename).href, filename);
}

/** The code, if it is of this source, as stands behind it: V8 itself compares nothing but its length. */
function readCode(filename: string, source: Buffer, require: (id: string) => unknown): Buffer | undefined {
  const digest = (): Buffer =>
    (require('node:crypto') as typeof crypto).createHash('sha256').update(source).digest();
  try {
    const content = readFileSync(`${filename}.code`);
    const proof = source.length <= SMALL_BYTES ? source : digest();
    const end = content.length - proof.length;
    return proof.equals(content.subarray(end)) ? content.subarray(0, end) : undefined;
  } catch {
    return undefined;
  }
}
