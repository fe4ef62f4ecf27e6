// Calls one function of the program, or starts it: what stands ahead of stdin says which. Root-owned in the image; Node's
// builtins only. Nothing here is a boundary: the program can do all that this can, and so answer whatever it likes.
//
//   node … -- /.sjs/call.cjs <program> [ahead|preload]     started ahead of what it is asked, and with the program loaded
//   node … -- /.sjs/call.cjs                         runs the code that it is given, and nothing else
//
// Request: length as 32 bit big endian, then that much JSON. A call has its arguments, a JSON list, after it; code is in a
// JSON document that ends with stdin.
import { Module } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createAnswer } from './answer.js';
import { prepareCode } from './code.js';
import { readRequest, type Request } from './request.js';
import { toJson } from './to-json.js';

const [, , program = '', early] = process.argv;
const load = (): Promise<Record<string, unknown>> =>
  import(pathToFileURL(program).href) as Promise<Record<string, unknown>>;

async function main(): Promise<void> {
  if (program === '') return runGivenCode();
  process.argv = [process.argv[0] ?? 'node', program];
  const loading = early === 'preload' ? load() : null;
  // What it fails with is the answer to whoever calls.
  await loading?.catch(() => undefined);
  if (early !== undefined) await compileAhead();
  const request = readRequest();
  if (request.kind === 'run') {
    process.argv.push(...request.args);
    (Module as unknown as { runMain(): void }).runMain();
    return;
  }
  if (request.kind === 'call') await answerCall(request, loading ?? load());
}

/**
 * What takes its time once: Node's loader, and what its console writes with. Not the console itself: once made, it lets
 * writes fail that would wait.
 */
async function compileAhead(): Promise<void> {
  void [toJson({}), createAnswer('')];
  if (process.versions['deno'] !== undefined || process.versions['bun'] !== undefined) return;
  const { Socket } = await import('node:net');
  new Socket().destroy();
}

async function runGivenCode(): Promise<void> {
  const run = prepareCode();
  const request = readRequest();
  if (request.kind === 'code') await run(request);
}

async function answerCall(
  { export: name, args, nonce }: Extract<Request, { kind: 'call' }>,
  loading: Promise<Record<string, unknown>>,
): Promise<void> {
  const answer = createAnswer(nonce);
  let waitsFor = `${program} has not loaded`;
  process.on('uncaughtException', (error) => answer.threw(error));
  process.on('beforeExit', () =>
    answer.threw(named('UnsettledError', `nothing is left to do, and ${waitsFor}`)),
  );
  try {
    const call = findFunction(await loading, name);
    waitsFor = `what ${name} returned has not settled`;
    const value = await call(args);
    const json = value === undefined ? undefined : toJson(value);
    if (json === undefined) answer.undefined();
    else answer.value(json);
  } catch (error) {
    answer.threw(error);
  }
}

type Call = (args: unknown[]) => unknown;

/**
 * An export; or with CommonJS, and with ES modules that were compiled to it, what Node does not see from outside: a
 * property of `module.exports` or of its `default`. Own properties alone: everything has a `toString`.
 */
function findFunction(module: Record<string, unknown>, name: string): Call {
  const whole = module['default'];
  const places = [module, whole, isHolder(whole) ? whole['default'] : undefined].filter(isHolder);
  for (const place of places) {
    const found = Object.hasOwn(place, name) ? place[name] : undefined;
    if (typeof found === 'function') return (args) => Reflect.apply(found, place, args) as unknown;
  }
  const names = [
    ...new Set(places.flatMap((place) => Object.keys(place).filter((key) => isFunction(place[key])))),
  ];
  const exported =
    names.length === 0 ? 'it exports no function' : `its functions are ${names.slice(0, 20).join(', ')}`;
  const isThere = places.some((place) => Object.hasOwn(place, name));
  const what = isThere ? 'exports something else than a function as' : 'exports no';
  throw named('ExportError', `${program} ${what} ${name}; ${exported}`);
}

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isHolder = (value: unknown): value is Record<string, unknown> =>
  (typeof value === 'object' || typeof value === 'function') && value !== null;

function named(name: string, message: string): Error {
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name });
  error.stack = '';
  return error;
}

void main();
