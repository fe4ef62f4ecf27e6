import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import type { CallOutcome } from '../../../src/model/call.js';
import { readAnswer } from '../../../src/stages/call/read-answer.js';
import { readOutcome } from '../../../src/stages/call/read-outcome.js';
import { writeCall, writeRun } from '../../../src/stages/call/write-request.js';
import { makeRecord } from '../../support/records.js';

const ID = '01J00000000000000000000001';
let folder: string;
let runner: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-call-'));
  runner = join(folder, 'call.cjs');
  await build({
    entryPoints: ['src/guest/call/main.ts'],
    outfile: runner,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Called {
  readonly outcome: CallOutcome;
  readonly stdout: string;
  readonly stderr: string;
}

/** The runner as it works in a sandbox, without one: what the container keeps from a program is tested elsewhere. */
async function call(source: string, name: string, args = '[]', file = 'program.mjs'): Promise<Called> {
  await writeFile(join(folder, file), source);
  const bytes = Buffer.from(args);
  return run(
    Buffer.concat([writeCall(ID, { export: name }, bytes.length), bytes, Buffer.from('more')]),
    file,
  );
}

async function run(input: Uint8Array, file: string): Promise<Called> {
  const child = spawn(process.execPath, ['--', runner, file], { cwd: folder, env: {} });
  const reader = readAnswer(ID);
  const [stdout, stderr]: [Uint8Array[], Uint8Array[]] = [[], []];
  child.stdout.on('data', (chunk: Uint8Array) => stdout.push(...reader.stdout(chunk)));
  child.stderr.on('data', (chunk: Uint8Array) => stderr.push(...reader.stderr(chunk)));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const left = reader.end();
  const { answer } = reader;
  const record = makeRecord({
    exitCode,
    call: {
      export: '',
      answer: answer && { kind: answer.kind, digest: `sha256:${'0'.repeat(64)}`, bytes: 0 },
    },
  });
  return {
    outcome: readOutcome(record, answer),
    stdout: Buffer.concat([...stdout, left.stdout]).toString(),
    stderr: Buffer.concat([...stderr, left.stderr]).toString(),
  };
}

const value = (found: unknown): CallOutcome => ({ outcome: 'result', value: found });
const threw = (error: object): object => ({ outcome: 'threw', error: expect.objectContaining(error) });

describe('which function is called', () => {
  test.each<[string, string, string, string, object]>([
    ['an export', 'export const add = (a, b) => a + b', 'add', 'a.mjs', value(3)],
    ['the default export', 'export default (a, b) => a + b', 'default', 'b.mjs', value(3)],
    ['an asynchronous one', 'export async function add(a, b) { return a + b }', 'add', 'c.mjs', value(3)],
    ['after a top-level await', 'const c = await 0; export const add = (a, b) => a + b + c', 'add', 'd.mjs', value(3)],
    ['one that gives a thenable', 'export const add = (a, b) => ({ then: (f) => f(a + b) })', 'add', 'e.mjs', value(3)],
    ['of CommonJS', 'exports.add = (a, b) => a + b', 'add', 'a.cjs', value(3)],
    ['one that Node does not see', 'const name = "add"; exports[name] = (a, b) => a + b', 'add', 'b.cjs', value(3)],
    ['module.exports itself', 'module.exports = (a, b) => a + b', 'default', 'c.cjs', value(3)],
    ['a property of it', 'module.exports = () => 0; module.exports.add = (a, b) => a + b', 'add', 'd.cjs', value(3)],
    ['default of what was an ES module', 'exports.__esModule = true; exports.default = (a, b) => a + b', 'default', 'e.cjs', value(3)],
    ['a property of the default export', 'export default { add: (a, b) => a + b }', 'add', 'f.mjs', value(3)],
    ['one that uses this', 'module.exports = { n: 0, add(a, b) { return a + b + this.n } }', 'add', 'f.cjs', value(3)],
    ['none of that name', 'export const add = 1, sum = () => 1', 'none', 'g.mjs', threw({ name: 'ExportError', message: 'g.mjs exports no none; its functions are sum', stack: '' })],
    ['no function', 'export const add = 1', 'add', 'h.mjs', threw({ message: 'h.mjs exports something else than a function as add; it exports no function' })],
    ['nothing', '', 'default', 'i.mjs', threw({ name: 'ExportError' })],
    ['what everything inherits', 'export default {}', 'toString', 'j.mjs', threw({ name: 'ExportError' })],
    ['a class', 'export class add {}', 'add', 'k.mjs', threw({ name: 'TypeError' })],
    ['a module that throws', 'throw new RangeError("no")', 'add', 'l.mjs', threw({ name: 'RangeError', message: 'no' })],
    ['a syntax error', 'const = 1', 'add', 'm.mjs', threw({ name: 'SyntaxError' })],
    ['a missing import', 'import "./none.mjs"', 'add', 'n.mjs', threw({ message: expect.stringContaining('none.mjs') as unknown })],
    ['a module that never loads', 'await new Promise(() => {})', 'add', 'o.mjs', threw({ name: 'UnsettledError', message: 'nothing is left to do, and o.mjs has not loaded' })],
    ['a file that is not there', '', 'add', '../none.mjs', threw({ message: expect.stringContaining('none.mjs') as unknown })],
  ])('%s', async (_, source, name, file, outcome) => {
    const called = file.startsWith('..')
      ? await run(writeCallWith('add', '[]'), file)
      : await call(source, name, '[1,2]', file);
    expect(called).toEqual({ outcome, stdout: '', stderr: '' });
  }); // prettier-ignore
});

const writeCallWith = (name: string, args: string): Buffer =>
  Buffer.concat([writeCall(ID, { export: name }, args.length), Buffer.from(args)]);

describe('what it comes to', () => {
  const source = `import fs from 'node:fs';
    export const nothing = () => {};
    export const echo = (value) => value;
    export const count = (...args) => args.length;
    export const output = () => { console.log('to stdout'); console.error('to stderr'); return 1 };
    export const argv = () => process.argv.slice(2);
    export const large = (n) => 'é'.repeat(n);
    export const input = () => fs.readFileSync(0, 'utf8');
    export const never = () => new Promise(() => {});
    export const exits = (code) => process.exit(code);
    export const late = () => { setTimeout(() => { throw new Error('late') }); return new Promise(() => {}) };
    export const rejects = () => { Promise.reject(new Error('unseen')); return new Promise(() => {}) };
    export const timers = () => { setInterval(() => {}, 1000); return 1 };
    export const caused = () => { throw new Error('outer', { cause: new TypeError('inner', { cause: 7 }) }) };
    export const many = () => Promise.any([Promise.reject(new Error('one')), Promise.reject(2)]);
    export const huge = () => { throw new Error('\\u0001'.repeat(1e6)) };
    export const throws = (what) => { throw { undefined: undefined, null: null, text: 'text', object: { a: { b: 1 } },
      bare: Object.assign(new Error('bare'), { stack: undefined }),
      worse: new Proxy({}, { get() { throw new Error('get') }, getPrototypeOf() { throw new Error('proto') } }) }[what] };
    export const noStderr = () => { fs.closeSync(2); return 1 };
    export const noStdout = () => { fs.closeSync(1); return 1 };`;
  const of = (name: string, ...args: unknown[]): Promise<Called> => call(source, name, JSON.stringify(args));

  test.each<[string, unknown[], object]>([
    ['nothing', [], { outcome: 'result' }],
    ['echo', [{ ['__proto__']: 1, a: '\ud800', b: [null, -1.5e300] }], value({ ['__proto__']: 1, a: '\ud800', b: [null, -1.5e300] })],
    ['count', [], value(0)],
    ['count', [1, null], value(2)],
    ['argv', [], value([])],
    ['input', [], value('more')],
    ['timers', [], value(1)],
    ['noStderr', [], value(1)],
    ['noStdout', [], { outcome: 'exited', exitCode: expect.any(Number) as unknown }],
    ['exits', [0], { outcome: 'exited', exitCode: 0 }],
    ['exits', [3], { outcome: 'exited', exitCode: 3 }],
    ['never', [], threw({ name: 'UnsettledError', message: 'nothing is left to do, and what never returned has not settled' })],
    ['late', [], threw({ message: 'late' })],
    ['rejects', [], threw({ message: 'unseen' })],
    ['throws', ['undefined'], threw({ name: '', message: 'undefined', stack: '' })],
    ['throws', ['null'], threw({ name: '', message: 'null', stack: '' })],
    ['throws', ['text'], threw({ name: '', message: 'text', stack: '' })],
    ['throws', ['object'], threw({ name: '', message: '{ a: { b: 1 } }' })],
    ['throws', ['bare'], threw({ name: 'Error', message: 'bare', stack: '' })],
    ['throws', ['worse'], threw({ name: '', stack: '' })],
  ])('%s of %j', async (name, args, outcome) => expect((await of(name, ...args)).outcome).toEqual(outcome)); // prettier-ignore

  test('output goes its own way', async () => {
    expect(await of('output')).toEqual({ outcome: value(1), stdout: 'to stdout\n', stderr: 'to stderr\n' });
  });

  test('a large result comes in pieces', async () => {
    expect((await of('large', 100_000)).outcome).toEqual(value('é'.repeat(100_000)));
  });

  test('what is behind an error is told', async () => {
    const stackOf = async (name: string): Promise<string> => {
      const { outcome } = await of(name);
      return outcome.outcome === 'threw' ? outcome.error.stack : '';
    };
    expect(await stackOf('caused')).toMatch(
      /^Error: outer\n +at .*caused[^[]*\n\[cause\]: TypeError: inner\n +at .*caused[^[]*\n\[cause\]: 7$/,
    );
    expect(await stackOf('many')).toMatch(/^AggregateError.*\n\[errors\]: Error: one\n[^[]*\[errors\]: 2$/);
  });

  test('what is thrown is bounded', async () => {
    const { outcome } = await of('huge');
    expect(JSON.stringify(outcome).length).toBeLessThan(256 * 1024);
    expect(outcome).toMatchObject({ outcome: 'threw', error: { name: 'Error' } });
  });
});

test('the program can be run instead, with arguments and input of its own', async () => {
  const source = `import fs from 'node:fs'; console.log(process.argv.slice(2), fs.readFileSync(0, 'utf8'))`;
  await writeFile(join(folder, 'main.mjs'), source);
  const { stdout } = await run(Buffer.concat([writeRun(['a', '--b']), Buffer.from('input')]), 'main.mjs');
  expect(stdout).toBe("[ 'a', '--b' ] input\n");
});

test('nothing is asked: it ends', async () => {
  expect(await run(Buffer.alloc(0), 'main.mjs')).toMatchObject({
    outcome: { outcome: 'exited', exitCode: 0 },
  });
});
