import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createSjs, Sandbox, type OutputPiece, type RunRecord, type Sjs } from '../../src/index.js';
import { cleanFolders, makeFolder, networkedPolicy } from '../support/world.js';
import { provideBase } from '../support/world-base.js';

jest.setTimeout(240_000);
cleanFolders();
const run = promisify(execFile);

const LANGUAGES = ['node', 'python', 'deno', 'bun'] as const;
let policyFile: string;
let home: string;
let sjs: Sjs;
const env = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: home,
  SJS_HOME: join(home, 'sjs'),
  SJS_POLICY: policyFile,
});

beforeAll(async () => {
  policyFile = await networkedPolicy('{ egress: [] }');
  const lines = ['  bases:'];
  for (const language of LANGUAGES.slice(1)) {
    const { repository, version } = await provideBase(language);
    lines.push(`    ${language}: { image: ${repository}, version: "${version}" }`);
  }
  const text = await readFile(policyFile, 'utf8');
  await writeFile(policyFile, text.replace('defaults:\n', `defaults:\n${lines.join('\n')}\n`), {
    mode: 0o600,
  });
  home = await makeFolder();
  sjs = createSjs({ env: env() });
});
afterAll(async () => {
  const tags = (await sjs.listImages()).map(({ tag }) => tag);
  if (tags.length > 0) execFileSync('docker', ['image', 'rm', '-f', ...tags], { stdio: 'ignore' });
});

/** Containers of this SJS_HOME that are there. */
const containers = (): string[] =>
  execFileSync('docker', ['ps', '-aq', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== ''); // prettier-ignore

/** Writes to both streams in turn, and gives back what it found. */
const IN_TURN: Readonly<Record<(typeof LANGUAGES)[number], string>> = {
  python: `import sys
for i in range(100):
    print(f"o{i}")
    print(f"e{i}", file=sys.stderr)
result = {"found": data}
1 / 0`,
  node: `for (let i = 0; i < 100; i += 1) { console.log('o' + i); console.error('e' + i); }
result = { found: data };
throw new Error('last');`,
  deno: `for (let i: number = 0; i < 100; i += 1) { console.log('o' + i); console.error('e' + i); }
globalThis.result = { found: data };
throw new Error('last');`,
  bun: `for (let i: number = 0; i < 100; i += 1) { console.log('o' + i); console.error('e' + i); }
globalThis.result = { found: data };
throw new Error('last');`,
};

describe.each(LANGUAGES)('code in %s that comes with its run', (language) => {
  test('finds data, gives data back, and its output keeps its order, cold and warm; a replay has all of it', async () => {
    const code = IN_TURN[language];
    const data = { text: 'ü\n', list: [1, null, { deep: true }] };
    const expected = Array.from({ length: 100 }, (_, at) => `o${at}\ne${at}\n`).join('');
    const pool = await sjs.createPool({ language, size: 1, max: 1 });
    try {
      for (const running of [pool.run(code, { data }), sjs.runCode(code, { language, data })]) {
        let text = '';
        for await (const piece of running) text += Buffer.from(piece.data).toString();
        const { record, ...rest } = await running;
        expect(text.slice(0, expected.length)).toBe(expected);
        expect(text).toMatch(language === 'python' ? /ZeroDivisionError/ : /last/);
        expect(rest).toEqual({ data: { found: data } });
        expect(record).toMatchObject({ state: 'failed', exitCode: 1, code: { answer: { kind: 'value' } } });
        const { verdict } = await sjs.replay(record.id);
        expect(verdict).toMatchObject({ reproduced: true, differences: [], notCompared: [] });
      }
    } finally {
      await pool.close();
    }
  });
});

test('a replay of other code, or that gives back something else, is not reproduced', async () => {
  const { record } = await sjs.runCode('result = Math.random()');
  const { verdict } = await sjs.replay(record.id);
  expect(verdict).toMatchObject({ reproduced: false, differences: [{ field: 'answer' }] });
});

test('code is in no image: one seal runs all of it', async () => {
  const [one, two] = await Promise.all([sjs.runCode('1'), sjs.runCode('console.log("other")')]);
  expect(one.record.seal).toBe(two.record.seal);
  expect(one.record.stdin?.digest).not.toBe(two.record.stdin?.digest);
});

test('Node code is CommonJS or ESM as Node sees it, and the main module', async () => {
  const pool = await sjs.createPool({ language: 'node', size: 1 });
  try {
    const cjs = await pool.run('result = [require.main === module, typeof require("fs").readFileSync]');
    const esm = await pool.run('import fs from "node:fs"; result = [import.meta.url, typeof fs, await 1]');
    expect([cjs.data, esm.data]).toEqual([
      [true, 'function'],
      ['file:///tmp/code.js', 'object', 1],
    ]);
    expect(esm.record.stderr?.bytes).toBe(0);
    const lost = await pool.run('result = new Map()');
    expect(lost).toMatchObject({ record: { state: 'succeeded' }, dataError: { name: 'ResultError' } });
    expect('data' in lost).toBe(false);
  } finally {
    await pool.close();
  }
});

test('a sandbox for code has no function to call, and one with a program takes no code', async () => {
  const { record } = await sjs.runCode('1');
  await expect(sjs.call(record.tag, 'default')).rejects.toMatchObject({ code: 'NOT_CALLABLE' });
  const folder = await makeFolder({ 'index.js': 'process.stdin.pipe(process.stdout);' });
  const given = await sjs.run(join(folder, 'index.js'), {
    stdin: (await import('node:stream')).Readable.from(['{"code":"1"}']),
  });
  expect(given).not.toHaveProperty('code');
  expect(given.stdout?.bytes).toBe(12);
});

test('code whose sjs was killed is recovered with its output, and can be replayed', async () => {
  const program = `import { createSjs } from ${JSON.stringify(resolve('dist/index.js'))};
const running = createSjs().runCode(
  'console.log("on"); console.error("err"); setTimeout(() => { result = data; console.log("off"); }, 1500)',
  { data: [7] },
);
for await (const { data } of running) if (String(Buffer.from(data)).includes('err')) process.kill(process.pid, 'SIGKILL');`;
  await expect(
    run(process.execPath, ['--input-type=module', '-e', program], { env: env() }),
  ).rejects.toMatchObject({ signal: 'SIGKILL' });
  const [newest] = await sjs.listRuns({ limit: 1 });
  const id = newest?.id ?? '';
  const record = await sjs.waitRun(id);
  expect(record).toMatchObject({
    stdin: { truncated: false },
    state: 'succeeded',
    code: { answer: { bytes: 3 } },
  });
  expect((await sjs.replay(id)).verdict).toMatchObject({ reproduced: true });
});

test('functions of Python, Deno and Bun programs can be called', async () => {
  const folder = await makeFolder({
    'add.py':
      'async def add(a, b=0):\n    print("adding")\n    return {"sum": a + b}\ndef bad():\n    raise ValueError("no")\ndef lost():\n    return {1}\n',
    'add.ts':
      'export async function add(a: number, b = 0) { console.log("adding"); return { sum: a + b }; }\nexport function bad() { throw new RangeError("no"); }\nexport const lost = () => new Set();\n',
  });
  for (const language of ['python', 'deno', 'bun'] as const) {
    const file = join(folder, language === 'python' ? 'add.py' : 'add.ts');
    const pool = await sjs.createPool({
      target: file,
      language,
      size: 2,
      preload: true,
      queueTimeoutMs: 60_000,
    });
    try {
      for (const call of [
        pool.call,
        (name: string, args: unknown[]) => sjs.call(file, name, args, { language }),
      ]) {
        const called = await call('add', [1, 2]);
        expect(called).toMatchObject({ outcome: 'result', value: { sum: 3 } });
        expect((await sjs.replay(called.record.id)).verdict).toMatchObject({ reproduced: true });
      }
      const kinds = await Promise.all(['bad', 'lost', 'none'].map((name) => pool.call(name)));
      expect(kinds.map((called) => called.outcome === 'threw' && called.error.name)).toEqual([
        language === 'python' ? 'ValueError' : 'RangeError',
        'ResultError',
        'ExportError',
      ]);
    } finally {
      await pool.close();
    }
  }
});

test('data that is no JSON, code that is no text and no language are refused before anything runs', async () => {
  const loop: { self?: unknown } = {};
  loop.self = loop;
  await expect(sjs.runCode('1', { data: loop })).rejects.toMatchObject({ code: 'ARGUMENTS_INVALID' });
  await expect(sjs.runCode(7 as unknown as string)).rejects.toMatchObject({ code: 'ARGUMENTS_INVALID' });
  await expect(sjs.runCode('1', { data: 'x'.repeat(17 * 1024 ** 2) })).rejects.toMatchObject({
    code: 'ARGUMENTS_INVALID',
  });
  await expect(sjs.createPool({ language: 'perl' as 'node' })).rejects.toMatchObject({
    code: 'ARGUMENTS_INVALID',
  });
  await expect(sjs.createPool({ language: 'node', size: 10_000 })).rejects.toMatchObject({
    code: 'POOL_REFUSED',
  });
});

test('a signal ends what is under way, and the record says so', async () => {
  const pool = await sjs.createPool({ language: 'node', size: 1 });
  try {
    const controller = new AbortController();
    const running = pool.run('console.log("on"); setInterval(() => {}, 1000)', { signal: controller.signal });
    for await (const piece of running as AsyncIterable<OutputPiece>) {
      expect(Buffer.from(piece.data).toString()).toBe('on\n');
      controller.abort();
    }
    expect((await running).record.state).toBe('interrupted');
    await expect(pool.run('1', { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
  } finally {
    await pool.close();
  }
});

describe.each([
  {
    language: 'python' as const,
    hello: 'print("Hello, world!")',
    broken: 'print("a"',
    brokenSays: /SyntaxError/,
    sleep: 'import time\nprint("zzz")\ntime.sleep(10)',
    eat: 'a = []\nwhile True: a.append("x" * 10**7)',
    double: 'result = data * 2',
  },
  {
    language: 'node' as const,
    hello: 'console.log("Hello, world!")',
    broken: 'console.log("a"',
    brokenSays: /SyntaxError/,
    sleep: 'console.log("zzz"); setTimeout(() => {}, 10_000)',
    eat: 'const a = []; for (;;) a.push(Buffer.alloc(10 ** 7, 1))',
    double: 'result = data * 2',
  },
])('what docker-python-sandbox promises, in $language', ({ language, ...programs }) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = new Sandbox({ poolSize: 2, memoryLimitMb: 96, language, sjs });
    await new Promise<void>(
      (done, fail) => void sandbox.initialize((error) => (error ? fail(error) : done())),
    );
  });
  afterAll(() => sandbox.cleanup());
  const isReproduced = async (id: string): Promise<boolean> => (await sjs.replay(id)).verdict.reproduced;

  test('hello', async () => {
    const result = await sandbox.run(programs.hello);
    const text = 'Hello, world!\n';
    expect(result).toMatchObject({
      stdout: text,
      stderr: '',
      combined: text,
      isError: false,
      timedOut: false,
    });
    expect(result).toMatchObject({ exitCode: 0, data: undefined });
    expect(await isReproduced(result.runId)).toBe(true);
  });

  test('a syntax error is a result', async () => {
    const result = await sandbox.run(programs.broken);
    expect(result).toMatchObject({ stdout: '', isError: true, timedOut: false, exitCode: 1 });
    expect(result.stderr).toMatch(programs.brokenSays);
    expect(result.combined).toBe(result.stderr);
    expect(await isReproduced(result.runId)).toBe(true);
  });

  test('ten seconds of sleep under a limit of two', async () => {
    const begin = performance.now();
    const result = await sandbox.run({ code: programs.sleep, timeoutMs: 2_000 });
    expect(result).toMatchObject({ stdout: 'zzz\n', isError: true, timedOut: true });
    expect(performance.now() - begin).toBeLessThan(9_000);
    expect(await isReproduced(result.runId)).toBe(true);
  });

  test('eating all memory ends that run alone', async () => {
    const [eaten, hello] = await Promise.all([
      sandbox.run({ code: programs.eat, timeoutMs: 30_000 }),
      sandbox.run(programs.hello),
    ]);
    expect(eaten).toMatchObject({ isError: true, timedOut: false });
    expect((await sjs.findRun(eaten.runId)).state).toBe('out-of-memory');
    expect(hello.isError).toBe(false);
    expect(await isReproduced(eaten.runId)).toBe(true);
  });

  test('twice as many jobs as members, each in a container of its own', async () => {
    const jobs = Array.from({ length: 4 }, (_, data) => sandbox.run({ code: programs.double, data }));
    const results = await Promise.all(jobs);
    expect(results.map(({ data }) => data)).toEqual([0, 2, 4, 6]);
    const records = await Promise.all(results.map(({ runId }) => sjs.findRun(runId)));
    expect(new Set(records.map(({ member }) => member)).size).toBe(4);
    expect(records.every(({ member }) => member !== undefined)).toBe(true);
  });
});

test('nothing is left of any of it, and every run is listed', async () => {
  expect(containers()).toEqual([]);
  const runs = await sjs.listRuns();
  expect(runs.length).toBeGreaterThan(20);
  expect(runs.filter(({ finishedAt }: RunRecord) => finishedAt === null)).toEqual([]);
});

/** A project that has sjs as npm installs it: the packed files alone. */
async function installPacked(): Promise<string> {
  const folder = await makeFolder({ 'package.json': '{ "type": "module" }' });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: resolve('.'),
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const installed = join(folder, 'node_modules/sjs');
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', join(folder, filename), '--strip-components=1', '-C', installed]);
  // What it depends on is what is installed here.
  await symlink(resolve('node_modules'), join(installed, 'node_modules'));
  await mkdir(join(folder, 'node_modules/@types'));
  await symlink(resolve('node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
  return folder;
}

describe('as a package', () => {
  let folder: string;
  beforeAll(async () => void (folder = await installPacked()));

  test('has types, which the example and an application fit, and a wrong one does not', async () => {
    const application = `import { createPool, createSjs, runCode, Sandbox, type CallResult, type OutputPiece } from 'sjs';
export async function embed(): Promise<unknown> {
  const pool = await createPool({ target: 'sjs/pricing', size: 2 });
  const running = pool.call('quote', [1], { signal: AbortSignal.timeout(5) });
  for await (const { stream, data } of running) console.log(stream satisfies 'stdout' | 'stderr', data.byteLength);
  const called: CallResult = await running;
  const codes = await createSjs({ home: 'x' }).createPool({ language: 'python' });
  const { data, record } = await codes.run('result = 1', { data: { a: 1 } });
  const sandbox = new Sandbox({ poolSize: 1, timeoutMs: 1, memoryLimitMb: 64 });
  sandbox.run('1', (error, result) => console.log(error?.message, result?.combined));
  const piece: OutputPiece | null = null;
  return [called.outcome === 'result' && called.value, data, record.id, piece, (await runCode('1')).record.state];
}\n`;
    await writeFile(join(folder, 'application.ts'), application);
    await cp(resolve('examples/embed.mjs'), join(folder, 'embed.mjs'));
    const tsc = (...files: string[]) =>
      run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--checkJs', '--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023,esnext.disposable', '--types', 'node', '--skipLibCheck', ...files], { cwd: folder }); // prettier-ignore
    await tsc('application.ts', 'embed.mjs');
    await writeFile(
      join(folder, 'wrong.ts'),
      `import { createPool } from 'sjs';\ncreatePool({ language: 'perl' });\n`,
    );
    await expect(tsc('wrong.ts')).rejects.toMatchObject({ stdout: expect.stringContaining('"perl"') });
  });

  test('is loaded by import and by require, and writes nothing of its own', async () => {
    const program = `const { Sandbox, createSjs } = require('sjs');
const [one, two] = ['one', 'two'].map((name) => createSjs({ home: process.argv[1] + '/' + name }));
Promise.all([one, two].map((sjs) => sjs.runCode('result = data', { data: sjs.home })))
  .then(async ([a, b]) => {
    const runs = await Promise.all([one, two].map((sjs) => sjs.listRuns()));
    const isOwn = runs.every((list) => list.length === 1) && a.data === one.home && b.data === two.home;
    process.exitCode = isOwn && typeof Sandbox === 'function' ? 0 : 1;
  });`;
    const homes = await makeFolder();
    const ended = await run(process.execPath, ['-e', program, homes], { cwd: folder, env: env() });
    expect(ended).toEqual({ stdout: '', stderr: '' });
  });
});

test('the example makes its hundred calls', async () => {
  const { stdout, stderr } = await run(process.execPath, ['examples/embed.mjs'], { env: env() });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^100 calls in [\d.]+ s, each in a container of its own\np50 [\d.]+ ms, p99 [\d.]+ ms\nquoted 4075\.00\nreplay of \w{26}: reproduced\n$/); // prettier-ignore
  const calls = (await sjs.listRuns()).filter(({ call }) => call?.export === 'quote');
  expect(new Set(calls.flatMap(({ member }) => member ?? [])).size).toBe(100);
  expect(containers()).toEqual([]);
});
