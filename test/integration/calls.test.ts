import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { removeImages } from '../support/docker.js';
import { sealFunctions, type Called, type Functions } from '../support/functions.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder, runSjs, world } from '../support/world.js';

const SOURCE = `import fs from 'node:fs';
import v8 from 'node:v8';
export const echo = (...values) => values;
export const nothing = () => {};
export const speak = () => { console.log('to stdout'); console.error('to stderr'); return 1 };
export const random = () => Math.random();
export const maybe = () => { if (Math.random() < 2) throw new Error('at ' + process.hrtime.bigint()) };
export const input = () => fs.readFileSync(0, 'utf8');
export const env = (name) => process.env[name];
export const file = (text) => { fs.writeFileSync('/out/a.txt', text); return 1 };
export const large = (bytes) => 'x'.repeat(bytes);
export const fail = () => { throw new RangeError('no', { cause: new Error('why') }) };
export const quit = (code) => process.exit(code);
export const abort = () => process.abort();
export const suicide = () => { process.kill(process.pid, 'SIGKILL'); for (;;); };
export const spin = () => { console.log('spinning'); for (;;); };
export const wait = () => { console.log('waiting'); return new Promise(() => setInterval(() => {}, 1000)) };
export const slow = async (ms) => { console.log('begun'); await new Promise((r) => setTimeout(r, ms)); return 'done' };
export const eat = () => { const all = []; for (;;) all.push(Buffer.alloc(1e7, 1)) };
export const lingers = () => { setInterval(() => console.log('still here'), 10); return 1 };
export const spins = async () => { setImmediate(() => { for (;;); }); return 1 };
export async function steal() {
  let text = '';
  for await (const chunk of v8.getHeapSnapshot()) text += chunk;
  const nonces = new Set([...text.matchAll(/"([0-9a-f]{32})"/g)].map((match) => match[1]));
  const piece = (nonce, type, body) => '\\0sjs' + nonce + type + body.length.toString(16).padStart(4, '0') + body;
  for (const nonce of nonces) {
    fs.writeSync(2, piece(nonce, 'e', ''));
    fs.writeSync(1, piece(nonce, 'v', '"stolen"'));
  }
  for (;;);
}
`;

let home: string;
let functions: Functions;
beforeAll(async () => {
  home = await makeFolder();
  functions = await sealFunctions(home, 'functions', SOURCE, '  filesystem: { out: 1Mi }\n');
  sealed.add(functions.tag);
}, 120_000);
afterAll(async () => {
  const images = JSON.parse((await runSjs(home, ['images', '--json'])).stdout) as { tag: string }[];
  for (const { tag } of images) sealed.add(tag);
});
const sealed = removeImages();
cleanFolders();

const sjs = (...args: string[]) => runSjs(home, args);
const inspect = async (id: string) =>
  JSON.parse((await sjs('inspect', id)).stdout) as Called & Record<string, unknown>;

describe('a result', () => {
  test('is all there is on stdout; what the function writes is on stderr', async () => {
    expect(await functions.sjs(['speak'])).toEqual({
      code: 0,
      stdout: '1\n',
      stderr: 'to stdout\nto stderr\n',
    });
    expect(await functions.sjs(['nothing'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('is what went in, texts with half a character and keys like __proto__ too', async () => {
    const words = ['"\\ud800"', '{"__proto__":{"a":[]}}', '-0.5', '"e\u0301\u2028"', 'null', '[[[]]]'];
    const { code, stdout } = await functions.sjs(['echo', '--', ...words]);
    expect([code, stdout]).toEqual([0, `[${words.join(',')}]\n`]);
  });

  test('comes of arguments on standard input and in files, and of none', async () => {
    const file = join(await makeFolder({ 'data.json': '{"a": 1}\n' }), 'data.json');
    const given = await functions.sjs(['echo', '1', '--data', file, '--data', '-'], { input: ' [2]\n' });
    expect(given.stdout).toBe('[1,{"a":1},[2]]\n');
    expect((await functions.sjs(['echo'])).stdout).toBe('[]\n');
    // What follows the arguments on its standard input is nothing.
    expect((await functions.sjs(['input'], { input: 'mine' })).stdout).toBe('""\n');
  });

  test('may be as large as the output limit lets it, and arguments as 16Mi', async () => {
    expect((await functions.call('large', [1_000_000])).value).toHaveLength(1_000_000);
    const file = join(
      await makeFolder({ 'data.json': JSON.stringify('y'.repeat(15 * 1024 ** 2)) }),
      'data.json',
    );
    const { stdout, code } = await functions.sjs(['echo', '--output-limit', '1Ki', '--data', file]);
    expect([code, stdout]).toEqual([137, '']);
    await writeFile(file, JSON.stringify('y'.repeat(16 * 1024 ** 2)));
    const refused = await functions.sjs(['echo', '--data', file]);
    expect(refused).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('ARGUMENTS_INVALID') as unknown,
    });
  });

  test('of code; of code on standard input; of a file; of a folder', async () => {
    const code = 'export default (a, b) => a + b';
    expect((await sjs('call', '-q', '-e', code, 'default', '1', '2')).stdout).toBe('3\n');
    expect((await runSjs(home, ['call', '-q', '-', 'default', '1', '2'], { input: code })).stdout).toBe(
      '3\n',
    );
    const folder = await makeFolder({
      'a.ts': 'export const add = (a: number, b: number): number => a + b;\n',
    });
    expect((await sjs('call', '-q', join(folder, 'a.ts'), 'add', '1', '2')).stdout).toBe('3\n');
    const quote = ['call', '-q', resolve('examples/pricing'), 'quote', '{"items":[{"sku":"a","qty":2}]}'];
    expect(await sjs(...quote)).toEqual({
      code: 0,
      stdout: '{"lines":[{"sku":"a","qty":2,"cents":2500}],"totalCents":2500}\n',
      stderr: 'priced 1 lines\n',
    });
  }, 60_000);

  test('with variables, secrets, files that come out, and a receipt that anybody can verify', async () => {
    const folder = await makeFolder();
    expect((await functions.sjs(['env', '"GREETING"', '-e', 'GREETING=hi'])).stdout).toBe('"hi"\n');
    expect(await functions.sjs(['file', '"text"', '--out', folder])).toMatchObject({
      code: 0,
      stdout: '1\n',
    });
    expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('text');
    const secret = await sealFunctions(home, 'secret', SOURCE, '  secrets: [TOKEN]\n');
    const given = await secret.sjs(['env', '"TOKEN"', '--secret', 'TOKEN'], { env: { TOKEN: 'abc' } });
    expect(given.stdout).toBe('"abc"\n');
    const receipt = join(folder, 'receipt.json');
    const words = ['echo', '1', '--json', `--receipt=${receipt}`, '--key', world.keyFile];
    const { code, stdout } = await functions.sjs(words, { env: { COSIGN_PASSWORD: '' } });
    expect(code).toBe(0);
    const { call } = JSON.parse(stdout) as Called;
    const publicFile = world.keyFile.replace(/key$/, 'pub');
    const verified = await sjs('receipt', 'verify', receipt, '--key', publicFile, '--json');
    expect(verified.stdout).toContain(call.answer?.digest);
    expect(verified).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"export": "echo"') as unknown,
    });
  }, 60_000);
});

describe('an outcome', () => {
  test.each<[string, unknown[], string[], object]>([
    ['echo', [1], [], { outcome: 'result', value: [1], state: 'succeeded', exitCode: 0, status: 0 }],
    ['fail', [], [], { outcome: 'threw', state: 'failed', exitCode: 1, status: 1 }],
    ['none', [], [], { outcome: 'threw', state: 'failed', status: 1, error: { name: 'ExportError' } }],
    ['quit', [0], [], { outcome: 'exited', state: 'failed', exitCode: 0, status: 1 }],
    ['quit', [124], [], { outcome: 'exited', state: 'failed', exitCode: 124, status: 124 }],
    ['abort', [], [], { outcome: 'exited', state: 'failed', exitCode: 134, status: 134 }],
    ['suicide', [], [], { outcome: 'exited', state: 'failed', exitCode: 137, status: 137 }],
    ['spin', [], ['--timeout', '1s'], { outcome: 'timed-out', state: 'timed-out', status: 124 }],
    ['wait', [], ['--timeout', '1s'], { outcome: 'timed-out', state: 'timed-out', status: 124 }],
    ['eat', [], ['-m', '64Mi'], { outcome: 'out-of-memory', state: 'out-of-memory', status: 137 }],
    ['large', [2_000_000], [], { outcome: 'output-limit', state: 'output-limit', status: 137, output: { stdout: '' } }],
    ['lingers', [], [], { outcome: 'result', value: 1, state: 'succeeded', exitCode: 0, status: 0 }],
    ['spins', [], [], { outcome: 'result', value: 1, state: 'succeeded', exitCode: 0, status: 0 }],
    ['steal', [], [], { outcome: 'result', value: 'stolen', state: 'succeeded', status: 0 }],
  ])('of %s %j %j', async (name, args, flags, expected) => {
    const called = await functions.call(name, args, ...flags);
    expect(called).toMatchObject(expected);
    const hasAnswer = called.outcome === 'result' || called.outcome === 'threw';
    expect(await inspect(called.id)).toMatchObject({
      state: called.state,
      call: { export: name, answer: hasAnswer ? { bytes: expect.any(Number) as unknown } : null },
    });
  }); // prettier-ignore

  test('of what throws has its name, message and stack with the paths of the sandbox alone', async () => {
    const { error } = await functions.call('fail');
    expect(error).toMatchObject({ name: 'RangeError', message: 'no' });
    expect(error?.stack).toMatch(
      /^RangeError: no\n +at (?:Module\.)?fail \(\/app\/index\.js:\d+:\d+\)\n\[cause\]: Error: why\n +at (?:Module\.)?fail \(\/app\/index\.js:\d+:\d+\)$/,
    );
    const shown = await functions.sjs(['fail']);
    expect(shown).toMatchObject({ code: 1, stdout: '', stderr: `${error?.stack}\n` });
  });

  const environment = () => ({
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    SJS_HOME: join(home, 'sjs'),
    SJS_POLICY: world.policyFile,
  });
  /** A call in a process of its own, when the function has begun. */
  const begin = async (name: string, ...more: string[]): Promise<{ child: ChildProcess; ended: Promise<unknown[]>; text: () => string }> => {
    const child = spawn(process.execPath, [resolve('dist/cli/main.cjs'), 'call', functions.tag, name, ...more], { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = once(child, 'close');
    await until('it began', () => Promise.resolve(/spinning|waiting|begun/.test(text)));
    return { child, ended, text: () => text };
  }; // prettier-ignore
  const newest = async (): Promise<Called> =>
    (JSON.parse((await sjs('runs', '-n', '1', '--json')).stdout) as Called[])[0] as Called;

  test('of one that sjs kill ends, or sjs stop', async () => {
    for (const [verb, state, code] of [['kill', 'killed', 137], ['stop', 'interrupted', 143]] as const) {
      const { ended } = await begin('spin');
      const { id } = await newest();
      expect((await sjs(verb, id)).code).toBe(0);
      expect((await ended)[0]).toBe(code);
      expect(await newest()).toMatchObject({ id, state, call: { export: 'spin', answer: null } });
    }
  }, 60_000); // prettier-ignore

  test('of one that Ctrl-C interrupts, once or twice', async () => {
    for (const times of [1, 2]) {
      const { child, ended, text } = await begin(times === 1 ? 'wait' : 'spin');
      for (let time = 0; time < times; time += 1) child.kill('SIGINT');
      expect((await ended)[0]).toBe(130);
      expect(text()).toContain('sjs: interrupted by SIGINT');
      expect(await newest()).toMatchObject({ state: 'interrupted', call: { answer: null } });
    }
  }, 60_000);

  test('of one that its AbortSignal ends', async () => {
    const script = `import { createSjs } from ${JSON.stringify(resolve('dist/index.js'))};
      const sjs = createSjs();
      const controller = new AbortController();
      const aborted = await sjs.call(${JSON.stringify(functions.tag)}, 'wait', [], {
        signals: { subscribe: () => () => undefined, abort: controller.signal },
        onStdout: () => controller.abort(),
      });
      const given = await sjs.call(${JSON.stringify(functions.tag)}, 'echo', [{ a: undefined, b: ['1'] }]);
      const refused = await sjs.call(${JSON.stringify(functions.tag)}, 'echo', [1n]).catch(({ code }) => code);
      console.log(JSON.stringify([aborted.outcome, aborted.record.state, given.value, refused]));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env: environment() });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(child, 'close');
    expect(JSON.parse(text)).toEqual(['interrupted', 'interrupted', [{ b: ['1'] }], 'ARGUMENTS_INVALID']);
  }, 60_000);

  test('of one whose sjs was killed is found by the next command, with its output and its answer', async () => {
    const { child, ended } = await begin('slow', '1500');
    const { id } = await newest();
    child.kill('SIGKILL');
    await ended;
    await until('it was recovered', async () => (await inspect(id)).state !== 'running');
    expect(await inspect(id)).toMatchObject({
      state: 'succeeded',
      exitCode: 0,
      call: { export: 'slow', answer: { kind: 'value' }, value: 'done' },
    });
    expect(await sjs('logs', id)).toMatchObject({ code: 0, stdout: 'begun\n', stderr: '' });
    expect(await sjs('replay', id)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('reproduced') as unknown,
    });
  }, 60_000);
});

describe('a record', () => {
  test('is shown as what it is', async () => {
    const { id } = await functions.call('speak');
    expect((await sjs('runs', '-n', '1')).stdout).toContain(`${functions.tag} speak()`);
    expect((await sjs('ps', '-a', '-n', '1')).stdout).toContain('speak()');
    expect((await sjs('runs', '-n', '1', '--format', '{{.call}}')).stdout).toContain('"export":"speak"');
    expect((await sjs('logs', '--stdout', id)).stdout).toBe('to stdout\n');
    expect(await inspect(id)).toMatchObject({ call: { export: 'speak', value: 1 } });
    const failed = await functions.call('fail');
    expect(await inspect(failed.id)).toMatchObject({ call: { threw: { name: 'RangeError' } } });
  });

  test('is replayed, and a replay that answers otherwise shows both answers', async () => {
    const same = await functions.call('echo', [1, 'two']);
    expect(await sjs('replay', same.id)).toMatchObject({ code: 0, stdout: expect.stringContaining('reproduced') as unknown });
    const other = await functions.call('random');
    const { code, stdout } = await sjs('replay', other.id);
    expect(code).toBe(1);
    expect(stdout).toMatch(/not reproduced.*\n {2}answer differs\n {4}was 0\.\d+\n {4}now 0\.\d+/);
    const threw = await functions.call('maybe');
    expect((await sjs('replay', threw.id)).stdout).toMatch(/was threw \{"name":"Error","message":"at \d+/);
  }, 60_000); // prettier-ignore

  test('goes with its answer into a file and out of it, and prune keeps the answer as long', async () => {
    const { id } = await functions.call('echo', ['exported']);
    const file = join(await makeFolder(), 'functions.sjs');
    expect((await sjs('prune')).code).toBe(0);
    expect(await inspect(id)).toMatchObject({ call: { value: ['exported'] } });
    expect((await sjs('export', functions.tag, file, '--run', id)).code).toBe(0);
    const elsewhere = await makeFolder();
    const { seal } = JSON.parse((await sjs('inspect', id)).stdout) as { seal: string };
    const imported = await runSjs(elsewhere, ['import', file, '--trust', seal]);
    expect(imported).toMatchObject({ code: 0 });
    const { stdout } = await runSjs(elsewhere, ['inspect', id]);
    expect(JSON.parse(stdout)).toMatchObject({ imported: {}, call: { export: 'echo', value: ['exported'] } });
    const replay = await runSjs(elsewhere, ['replay', id]);
    expect(replay).toMatchObject({ code: 0, stdout: expect.stringContaining('reproduced') as unknown });
  }, 60_000);
});

describe('what cannot be called', () => {
  test('is a function that is not named, no target, and what is more than was sealed', async () => {
    expect(await sjs('call', functions.tag)).toMatchObject({ code: 125, stderr: expect.stringContaining('<function> is missing') as unknown });
    expect(await sjs('call', 'nobody', 'f')).toMatchObject({ code: 127 });
    expect(await functions.sjs(['echo', '-m', '100Gi'])).toMatchObject({ code: 126 });
  }, 60_000); // prettier-ignore
});
