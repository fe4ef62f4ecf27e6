// Calls one function of the program, or starts it: what stands ahead of stdin says which. Root-owned in the image; Node's
// builtins only. Nothing here is a boundary: the program can do all that this can, and so answer whatever it likes.
//
//   node … -- /.sjs/call.cjs <program> [preload]
//
// Request: length as 32 bit big endian, then that much JSON. A call has its arguments, a JSON list, after it.
import { Module } from 'node:module';
import { pathToFileURL } from 'node:url';
import { createAnswer, type Answer } from './answer.js';
import { readRequest, type Request } from './request.js';
import { toJson } from './to-json.js';

const [, , program = '', preload] = process.argv;
const load = (): Promise<Record<string, unknown>> =>
  import(pathToFileURL(program).href) as Promise<Record<string, unknown>>;

async function main(): Promise<void> {
  process.argv = [process.argv[0] ?? 'node', program];
  const loading = preload === 'preload' ? load() : null;
  // What it fails with is the answer to whoever calls.
  await loading?.catch(() => undefined);
  const request = readRequest();
  if (request.kind === 'run') {
    process.argv.push(...request.args);
    (Module as unknown as { runMain(): void }).runMain();
    return;
  }
  await answerCall(request, loading ?? load());
}

async function answerCall(
  { export: name, args, nonce }: Extract<Request, { kind: 'call' }>,
  loading: Promise<Record<string, unknown>>,
): Promise<void> {
  const answer = createAnswer(nonce);
  process.on('uncaughtException', (error) => answer.threw(error));
  process.on('beforeExit', () => answer.threw(unsettled(name)));
  try {
    const value: unknown = await findFunction(await loading, name)(...args);
    giveResult(answer, value);
  } catch (error) {
    answer.threw(error);
  }
}

function giveResult(answer: Answer, value: unknown): void {
  if (value === undefined) answer.undefined();
  else answer.value(toJson(value));
}

/** An export, or with CommonJS what Node did not see from outside: a property of `module.exports`. */
function findFunction(module: Record<string, unknown>, name: string): (...args: unknown[]) => unknown {
  const whole = module['default'];
  const inner = (typeof whole === 'object' && whole !== null ? whole : {}) as Record<string, unknown>;
  const found = [module, inner].find((one) => Object.hasOwn(one, name))?.[name];
  if (typeof found === 'function') return found as (...args: unknown[]) => unknown;
  const names = [...new Set([...Object.keys(module), ...Object.keys(inner)])]
    .filter((key) => typeof (module[key] ?? inner[key]) === 'function')
    .slice(0, 20);
  const exported = names.length === 0 ? 'it exports no function' : `its functions are ${names.join(', ')}`;
  const what = found === undefined ? 'exports no' : 'exports something else than a function as';
  throw named('ExportError', `${program} ${what} ${name}; ${exported}`);
}

const unsettled = (name: string): Error =>
  named('UnsettledError', `nothing is left to do, and what ${name} returned has not settled`);

function named(name: string, message: string): Error {
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name });
  error.stack = '';
  return error;
}

void main();
