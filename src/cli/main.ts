#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import type { runCli } from './run-cli.js';

const args = process.argv.slice(2);

// Asked by scripts before anything else: answered without loading the rest.
if (args.length === 1 && (args[0] === '--version' || args[0] === 'version')) {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  process.stdout.write(`sjs ${(JSON.parse(text) as { version: string }).version}\n`);
} else {
  void loadProgram().runCli(args);
}

/**
 * The bundled command line, with the code that V8 compiled when it was built: parsing it anew costs 30 ms a start.
 * Another version of Node does not take that code and compiles the bundle itself.
 */
function loadProgram(): { readonly runCli: typeof runCli } {
  const filename = join(import.meta.dirname, 'run-cli.cjs');
  // The build has made sure that it is ASCII, and this is the fastest way to read that.
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: readCode(filename) });
  const define = script.runInThisContext() as (...scope: unknown[]) => void;
  const program = {} as { runCli: typeof runCli };
  define(program, createRequire(filename), import.meta.dirname, pathToFileURL(filename).href);
  return program;
}

function readCode(filename: string): Buffer | undefined {
  try {
    return readFileSync(`${filename}.code`);
  } catch {
    return undefined;
  }
}
