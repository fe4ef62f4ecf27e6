import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeFrame } from '../../src/cli/pool-frames.js';
import type { RunRecord } from '../../src/index.js';
import { removeImages } from '../support/docker.js';
import { until } from '../support/until.js';
import {
  cleanFolders,
  makeFolder,
  runSjs,
  sandboxYaml,
  world,
  type ProcessResult,
} from '../support/world.js';

const execute = promisify(execFile);

/** Functions; and a program that says what it gets, or goes on until it is ended. */
const FUNCTIONS = `export const add = (a, b) => { console.log('adding'); return a + b; };
export const variable = (name) => process.env[name] ?? null;
export const pid = () => ({ pid: process.pid, at: Math.random() });
export const big = (length) => 'x'.repeat(length);
export const fail = () => { throw new TypeError('not so'); };
export const wait = () => new Promise((done) => { console.log('waiting'); setTimeout(done, 60_000); });
export const polite = () => new Promise((done) => { process.on('SIGINT', () => done('late')); console.log('waiting'); setInterval(() => {}, 1000); });
`;
const PROGRAM = `const [mode, ...rest] = process.argv.slice(2);
if (mode === 'wait') { console.log('waiting'); setInterval(() => {}, 1000); }
else if (mode === 'polite') { process.on('SIGINT', () => { console.log('bye'); process.exit(7); }); console.log('waiting'); setInterval(() => {}, 1000); }
else if (mode === 'flood') { const line = 'x'.repeat(1023) + '\\n'; for (let at = 0; at < 4096; at += 1) process.stdout.write(line); }
else { console.error('args', mode, ...rest); process.stdin.pipe(process.stdout); process.stdin.on('end', () => (process.exitCode = 3)); }
`;

let home: string;
let functions: string;
let program: string;
let policyFile: string;
const policy = (): Promise<string> => readFile(world.policyFile, 'utf8');

const images = removeImages();
cleanFolders();

beforeAll(async () => {
  home = await makeFolder();
  policyFile = join(home, 'policy.yaml');
  await writeFile(policyFile, await policy(), { mode: 0o600 });
  functions = await seal('functions', FUNCTIONS, 'resources: { memory: 64Mi, output: 1Mi }');
  program = await seal('program', PROGRAM, 'resources: { memory: 64Mi, output: 8Mi }');
});
afterEach(async () => {
  await sjs(['pool', 'stop', '--all']);
  expect(await containers()).toEqual([]);
});

async function seal(name: string, code: string, spec: string): Promise<string> {
  const yaml = sandboxYaml(name, `  ${spec}\n`).replace('index.js', 'index.mjs');
  const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.mjs': code });
  const { stdout, stderr } = await sjs(['build', folder]);
  expect(stderr).not.toContain('error');
  images.add(stdout.trim());
  return stdout.trim();
}

const sjs = (args: readonly string[], options: Parameters<typeof runSjs>[2] = {}): Promise<ProcessResult> =>
  runSjs(home, args, { ...options, env: { SJS_POLICY: policyFile, ...options.env } });
const json = async (args: readonly string[]): Promise<unknown> =>
  JSON.parse((await sjs(args)).stdout) as unknown;

/** What the engine has of this home, whoever started it. */
async function containers(): Promise<readonly string[]> {
  const { stdout } = await execute('docker', ['ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Labels}}']);
  return stdout
    .split('\n')
    .filter((line) => line.includes(home))
    .map((line) => line.slice(0, 64));
}

interface Report {
  readonly tag: string;
  readonly pid: number;
  readonly ready: number;
  readonly calls: number;
  readonly [field: string]: unknown;
}
const status = async (): Promise<readonly Report[]> => (await json(['pool', 'status', '--json'])) as Report[];
const start = async (...args: string[]): Promise<Report> => {
  const { code, stdout, stderr } = await sjs(['pool', 'start', ...args]);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const found = (await status()).find(({ tag }) => tag === stdout.trim());
  if (!found) throw new Error(`there is no pool of ${stdout}`);
  return found;
};

/** The command line as a process that can be killed, with what it wrote so far. */
function begin(...args: string[]): ChildProcess & { text: () => string; said: () => string } {
  const child = spawn(process.execPath, [resolve('dist/cli/main.cjs'), ...args], {
    env: { PATH: process.env['PATH'], HOME: home, SJS_HOME: join(home, 'sjs'), SJS_POLICY: policyFile },
    cwd: home,
  });
  let [text, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  return Object.assign(child, { text: () => text, said: () => said });
}
const newest = async (): Promise<RunRecord> =>
  ((await json(['runs', '--json'])) as RunRecord[])[0] as RunRecord;
const poolsOf = (name: string): string => join(home, 'sjs/pools', name);
const digits = (tag: string): string => tag.slice(-12);

test('a pool is started once, answers, is listed and is stopped', async () => {
  const pool = await start(functions, '--size', '2', '--max', '3', '--idle-timeout', '1m');
  expect(pool).toMatchObject({
    tag: functions,
    ready: 2,
    busy: 0,
    waiting: 0,
    size: 2,
    max: 3,
    idleTimeoutMs: 60_000,
  });
  expect(pool['seal']).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(await containers()).toHaveLength(2);

  const again = await sjs(['pool', 'start', 'functions', '--size', '3']);
  expect(again).toMatchObject({
    code: 0,
    stdout: `${functions}\n`,
    stderr: expect.stringContaining('already'),
  });
  expect(await json(['pool', 'start', 'functions', '--json'])).toEqual({ tag: functions, isNew: false });

  for (const target of [
    'functions',
    functions,
    functions.replace('sjs/', ''),
    String(pool['seal']),
    digits(functions),
  ]) {
    expect(await sjs(['call', '--warm', target, 'add', '1', '2'])).toEqual({
      code: 0,
      stdout: '3\n',
      stderr: 'adding\n',
    });
  }
  const record = await newest();
  expect(record).toMatchObject({
    tag: functions,
    state: 'succeeded',
    call: { export: 'add' },
    member: expect.any(String),
  });
  expect((await sjs(['replay', record.id])).stdout).toContain('reproduced');
  const table = (await sjs(['pool', 'status'])).stdout;
  expect(table).toMatch(/^TAG +READY +BUSY +WAITING +CALLS +STARTED +PID\n/);
  expect(table).toMatch(new RegExp(`${functions} +2/2 +0 +0 +5 .*${pool.pid}\n$`));

  expect(await json(['pool', 'stop', '--json', 'functions'])).toEqual({ stopped: [functions], errors: [] });
  expect(await status()).toEqual([]);
  expect(readdirSync(poolsOf(''))).toEqual([]);
  expect(await sjs(['pool', 'stop'])).toMatchObject({ code: 0, stdout: '', stderr: 'there is no pool\n' });
  expect(await sjs(['pool', 'stop', 'functions'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('TARGET_NOT_FOUND'),
  });
  expect(await sjs(['pool'])).toMatchObject({ code: 2, stdout: expect.stringContaining('pool start') });
});

test('what a call says and how it ends is as without a pool, in JSON too', async () => {
  await start(functions, '--size', '3');
  const both = async (...words: string[]): Promise<void> => {
    const cold = await sjs(['call', ...words]);
    expect({ words, ...(await sjs(['call', '--warm', ...words])) }).toEqual({ words, ...cold });
  };
  await both('functions', 'add', '1', '2');
  await both('functions', 'fail');
  await both('functions', 'nothing');
  await both('functions', 'add', '{');
  await both('functions');
  await both('functions', 'add', '1', '--nothing');
  await both('--timeout', '300ms', 'functions', 'wait');
  await both('-e', 'A=1', 'functions', 'variable', '"A"');
  await both('-m', '32Mi', 'functions', 'variable', '"A"');
  await both('-m', '32Gi', 'functions', 'add', '1', '2');
  await both('--secret', 'HOME', 'functions', 'add', '1', '2');
  const result = (await json(['call', '--warm', '--json', 'functions', 'add', '1', '2'])) as RunRecord;
  expect(result).toMatchObject({
    outcome: 'result',
    value: 3,
    state: 'succeeded',
    output: { stdout: 'adding\n' },
  });
  expect(await json(['inspect', result.id])).toMatchObject({ id: result.id, member: expect.any(String) });
  const data = await sjs(['call', '--warm', 'functions', 'add', '"a"', '--data', '-'], { input: '"b"' });
  expect(data).toEqual({ code: 0, stdout: '"ab"\n', stderr: 'adding\n' });
});

test('a run gets standard input and arguments, streams both ways and exits as its program', async () => {
  await start(program, '--size', '2');
  const input = 'line\n'.repeat(400_000);
  const result = await sjs(['run', '--warm', 'program', '--', 'a', '--b'], { input });
  expect(result).toMatchObject({ code: 3, stderr: 'args a --b\n' });
  expect(result.stdout === input).toBe(true);
  expect(await newest()).toMatchObject({
    args: ['a', '--b'],
    exitCode: 3,
    stdin: { bytes: input.length, truncated: false },
  });

  const file = join(await makeFolder({ 'in.txt': 'of a file' }), 'in.txt');
  expect(await sjs(['run', '--warm', '--stdin', file, 'program'])).toMatchObject({
    code: 3,
    stdout: 'of a file',
  });
  const live = begin('run', '--warm', 'program', '--', 'x');
  for (const word of ['one', 'two']) {
    live.stdin?.write(word);
    await until(`${word} comes back while the program runs`, () =>
      Promise.resolve(live.text().endsWith(word)),
    );
  }
  live.stdin?.end();
  expect(await once(live, 'close')).toEqual([3, null]);

  const detached = await sjs(['run', '-d', '--warm', 'program', '--', 'wait']);
  expect(detached.stdout).toMatch(/^[0-9A-Z]{26}\n$/);
  expect(await sjs(['stop', '-t', '0', detached.stdout.trim()])).toMatchObject({ code: 0 });

  const receipt = await sjs(['run', '--warm', '--receipt', '--key', world.keyFile, 'program'], {
    env: { COSIGN_PASSWORD: '' },
  });
  expect(receipt.stderr).toContain('sjs: receipt sha256:');
  expect(await newest()).toMatchObject({ member: expect.any(String) });
});

test('a reader that takes nothing holds the program up, and one that goes away ends it', async () => {
  await start(program, '--size', '1');
  const slow = begin('run', '--warm', 'program', '--', 'flood');
  slow.stdout?.pause();
  await delay(500);
  slow.stdout?.resume();
  await once(slow, 'close');
  expect(slow.text()).toHaveLength(4 * 1024 ** 2);
  const closed = await execute(
    'bash',
    [
      '-c',
      '"$@" | head -c 10; echo " ${PIPESTATUS[0]}"',
      '-',
      process.execPath,
      resolve('dist/cli/main.cjs'),
      'run',
      '--warm',
      'program',
      '--',
      'flood',
    ],
    {
      env: { PATH: process.env['PATH'], HOME: home, SJS_HOME: join(home, 'sjs'), SJS_POLICY: policyFile },
    },
  );
  expect(closed.stdout).toBe('xxxxxxxxxx 141\n');
});

describe('without a pool', () => {
  test('it is started cold, and a line says so', async () => {
    const cold = await sjs(['call', '--warm', 'functions', 'add', '1', '2']);
    expect(cold).toEqual({
      code: 0,
      stdout: '3\n',
      stderr:
        'sjs: started cold: there is no pool of functions; sjs pool start functions makes one\nadding\n',
    });
    expect((await sjs(['call', '--warm', '-q', 'functions', 'add', '1', '2'])).stderr).toBe('adding\n');
    expect(await sjs(['run', '--warm', 'nothing'])).toMatchObject({ code: 127 });
  });

  test('of that seal, one of another does not take it', async () => {
    await start(program, '--size', '1');
    expect((await sjs(['call', '--warm', 'functions', 'add', '1', '2'])).stderr).toContain(
      'no pool of functions',
    );
    await start(functions, '--size', '1', '--preload');
    expect((await sjs(['call', '--warm', 'functions', 'add', '1', '2'])).stderr).toBe('adding\n');
    expect((await sjs(['run', '--warm', 'program'], { input: 'in' })).stdout).toBe('in');
    // With the program loaded there is none for a run: the pool starts a container for it.
    expect(await sjs(['run', '--warm', 'functions'])).toMatchObject({ code: 0, stderr: '' });
    expect((await newest()).member).toBeUndefined();
    expect((await sjs(['pool', 'stop'])).stderr).toContain('there are 2 pools');
    expect((await sjs(['pool', 'stop', '-a'])).stdout.trim().split('\n').sort()).toEqual(
      [functions, program].sort(),
    );
  });

  test('what needs another policy, engine or files of its own is not for the pool', async () => {
    await start(functions, '--size', '1');
    const other = join(await makeFolder({ 'policy.yaml': await policy() }), 'policy.yaml');
    chmodSync(other, 0o600);
    const under = await sjs(['call', '--warm', '--policy', other, 'functions', 'add', '1', '2']);
    expect(under).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('started with another --policy or SJS_POLICY'),
    });
    const engine = await sjs(['call', '--warm', 'functions', 'add', '1', '2'], {
      env: { DOCKER_HOST: 'unix:///nowhere' },
    });
    expect(engine).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('started with another DOCKER_HOST'),
    });
    const file = await sjs(['call', '--warm', '--in', other, 'functions', 'add', '1', '2']);
    expect(file).toMatchObject({ code: 126, stderr: expect.stringContaining('RIGHTS_WIDENED') });
    expect((await status())[0]).toMatchObject({ calls: 0 });
  });
});

test('of several that start at once one stands; one whose start is given up does not', async () => {
  const started = await Promise.all(
    [1, 2, 3].map(
      () => json(['pool', 'start', program, '--size', '1', '--json']) as Promise<{ isNew: boolean }>,
    ),
  );
  expect(started.filter(({ isNew }) => isNew)).toHaveLength(1);
  expect(await status()).toMatchObject([{ tag: program, ready: 1 }]);
  await sjs(['pool', 'stop']);

  const given = begin('pool', 'start', program, '--size', '8');
  await until('it begins', async () => (await containers()).length > 0);
  given.kill('SIGKILL');
  await until('nothing is left', async () => (await containers()).length + (await status()).length === 0);
});

test('a path is sealed first, and a call of that path finds its pool', async () => {
  const folder = await makeFolder({ 'f.mjs': 'export const f = (x) => x;' });
  const pool = await start(join(folder, 'f.mjs'), '--size', '1', '-m', '48Mi', '--cpu', '0.5');
  images.add(pool.tag);
  const { stderr, stdout } = await sjs([
    'call',
    '--warm',
    join(folder, 'f.mjs'),
    '-m',
    '48Mi',
    '--cpu',
    '0.5',
    'f',
    '1',
  ]);
  expect({ stdout, stderr }).toEqual({ stdout: '1\n', stderr: `seal    ${pool.tag}, unchanged\n` });
  expect(await newest()).toMatchObject({
    member: expect.any(String),
    limits: { memoryBytes: 48 * 1024 ** 2, milliCpu: 500 },
  });
  expect(await sjs(['pool', 'stop', join(folder, 'nowhere')])).toMatchObject({ code: 1 });
});

test('a path with a tighter limit has its pool too; and of a pool of an older seal it is said', async () => {
  const file = join(await makeFolder({ 'tight.mjs': 'export const f = (x) => x;' }), 'tight.mjs');
  const pool = await start(file, '--size', '1');
  images.add(pool.tag);
  const tight = await sjs(['call', '--warm', file, '--timeout', '5s', 'f', '1']);
  expect(tight).toMatchObject({ code: 0, stdout: '1\n', stderr: expect.not.stringContaining('cold') });
  const record = await newest();
  images.add(record.tag);
  expect(record).toMatchObject({ tag: pool.tag, limits: { timeoutMs: 5000 } });
  await writeFile(file, 'export const f = (x) => x + 1;');
  const { code, stdout, stderr } = await sjs(['call', '--warm', file, 'f', '1']);
  images.add((await newest()).tag);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '2\n' });
  expect(stderr).toContain(`the pool of tight is of ${pool.tag}, and another seal is meant`);
});

test('what cannot be is said by the command that was asked', async () => {
  const say = async (...words: string[]): Promise<string> => {
    const { code, stderr } = await sjs(['pool', 'start', 'functions', ...words]);
    return `${code} ${stderr.split('\n')[0]}`;
  };
  expect(await say('--size', '0')).toContain('2 error[USAGE]: --size "0"');
  expect(await say('--max', 'x')).toContain('2 error[USAGE]: --max "x"');
  expect(await say('--idle-timeout', '5')).toContain('2 error[USAGE]: --idle-timeout "5"');
  expect(await say('--size', '4', '--max', '2')).toContain('2 error[POOL_REFUSED]');
  expect(await say('--size', '4', '--memory-ceiling', '128Mi')).toContain('2 error[POOL_REFUSED]');
  expect(await say('--size', '4', '--cpu-ceiling', '1')).toContain('2 error[POOL_REFUSED]');
  expect(await say('--timeout', '999h')).toContain('error[RIGHTS_WIDENED]');
  expect(await sjs(['pool', 'start', 'nothing'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('TARGET_NOT_FOUND'),
  });
  expect(await sjs(['pool', 'start', 'functions', '--detached'])).toMatchObject({ code: 2 });
  expect(await sjs(['pool', 'stop', '--all', 'x'])).toMatchObject({ code: 2 });
  expect(await status()).toEqual([]);
});

describe('signals', () => {
  test('reach the program, or end it; a client that is killed ends its run', async () => {
    await start(program, '--size', '2');
    const polite = begin('run', '--warm', 'program', '--', 'polite');
    await until('it runs', () => Promise.resolve(polite.text() === 'waiting\n'));
    polite.kill('SIGINT');
    expect(await once(polite, 'close')).toEqual([130, null]);
    expect(polite.text()).toBe('waiting\nbye\n');

    const ended = begin('run', '--warm', 'program', '--', 'wait');
    await until('it runs', () => Promise.resolve(ended.text() === 'waiting\n'));
    ended.kill('SIGINT');
    expect(await once(ended, 'close')).toEqual([130, null]);
    expect(ended.said()).toBe('sjs: interrupted by SIGINT\n');

    const killed = begin('run', '--warm', 'program', '--', 'wait');
    await until('it runs', () => Promise.resolve(killed.text() === 'waiting\n'));
    killed.kill('SIGKILL');
    await until('it is over', async () => (await newest()).state === 'interrupted');
    await until('the pool is whole again', async () => (await status())[0]?.ready === 2);
  });

  test('end a call, whatever it answers then', async () => {
    await start(functions, '--size', '1');
    for (const warm of [['--warm'], []]) {
      const call = begin('call', ...warm, 'functions', 'polite');
      await until('it runs', () => Promise.resolve(call.said().includes('waiting')));
      call.kill('SIGINT');
      expect(await once(call, 'close')).toEqual([130, null]);
      const { state, member } = await newest();
      expect([state, member !== undefined]).toEqual(['interrupted', warm.length > 0]);
    }
  });

  test('end a pool as pool stop does: calls under way end first', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { pid } = await start(program, '--size', '1');
      const child = begin('run', '--warm', 'program');
      child.stdin?.write('a');
      await until('it runs', () => Promise.resolve(child.text() === 'a'));
      process.kill(pid, signal);
      await until('none comes in any more', () => Promise.resolve(!existsSync(poolsOf(digits(program)))));
      child.stdin?.end('b');
      expect(await once(child, 'close')).toEqual([3, null]);
      expect(child.text()).toBe('ab');
      await until('it is gone', () => Promise.resolve(!existsSync(`/proc/${pid}`)));
      expect(await containers()).toEqual([]);
    }
  });
});

test('a pool that is killed leaves nothing, and the next command finds none', async () => {
  const { pid, log } = await start(program, '--size', '2');
  const child = begin('run', '--warm', '--timeout', '5s', 'program', '--', 'wait');
  await until('it runs', () => Promise.resolve(child.text() === 'waiting\n'));
  // Only then its reaper knows that it has begun (docs/pools.md).
  await delay(500);
  process.kill(pid, 'SIGKILL');
  expect(await once(child, 'close')).toEqual([125, null]);
  expect(child.said()).toContain('POOL_CLOSED');
  // Those that nobody had go at once; the run has until its limit, and whoever looks for it then finishes its record.
  await until('the idle ones are gone', async () => (await containers()).length <= 1);
  await until('the run is over', async () => (await newest()).state === 'timed-out');
  await until('its container is gone', async () => (await containers()).length === 0);
  expect(existsSync(poolsOf(digits(program)))).toBe(true);
  expect(await sjs(['run', '--warm', 'program'], { input: 'x' })).toMatchObject({
    code: 3,
    stdout: 'x',
    stderr: expect.stringContaining('started cold'),
  });
  expect(existsSync(poolsOf(digits(program)))).toBe(false);
  expect(await status()).toEqual([]);
  expect(await start(program, '--size', '1')).not.toMatchObject({ pid });
  expect(String(log)).toBe(poolsOf(`${digits(program)}.log`));
});

test('a pool that stands still is told apart from one that is there', async () => {
  const { pid } = await start(functions, '--size', '1');
  process.kill(pid, 'SIGSTOP');
  try {
    const [called, table, stopped] = await Promise.all([
      sjs(['call', '--warm', 'functions', 'add', '1', '2']),
      sjs(['pool', 'status']),
      sjs(['pool', 'stop', '--all']),
    ]);
    expect(called).toMatchObject({
      code: 0,
      stdout: '3\n',
      stderr: expect.stringContaining(`process ${pid} does not answer`),
    });
    expect(table.stdout).toContain('does not answer');
    expect(stopped.stderr).toContain(`kill -9 ${pid}`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('under a policy that was tightened meanwhile nothing runs any more', async () => {
  await start(functions, '--size', '1');
  expect(await sjs(['call', '--warm', 'functions', 'add', '1', '2'])).toMatchObject({ code: 0 });
  try {
    writeFileSync(policyFile, `${await policy()}limits: { memory: 32Mi }\n`);
    const warm = await sjs(['call', '--warm', 'functions', 'add', '1', '2']);
    const cold = await sjs(['call', 'functions', 'add', '1', '2']);
    expect(cold).toMatchObject({ code: 126, stderr: expect.stringContaining('POLICY_VIOLATION') });
    expect(warm).toEqual(cold);
  } finally {
    writeFileSync(policyFile, await policy());
  }
  expect(await sjs(['call', '--warm', 'functions', 'add', '1', '2'])).toMatchObject({
    code: 0,
    stderr: 'adding\n',
  });
});

describe('the socket', () => {
  test('is its owner’s alone', async () => {
    const { pid } = await start(functions, '--size', '1');
    const folder = poolsOf(digits(functions));
    const [name = ''] = readdirSync(folder);
    expect(name).toMatch(new RegExp(`^${pid}-[0-9a-f]{8}\\.sock$`));
    const modes = [poolsOf(''), folder, join(folder, name)].map((path) =>
      (lstatSync(path).mode & 0o777).toString(8),
    );
    expect(modes).toEqual(['700', '700', '600']);
    // Another user gets no further than the folder, whatever the socket says.
    const ask = `require('net').connect(${JSON.stringify(join(folder, name))}).on('error', (error) => console.log(error.code)).on('connect', function () { console.log('connected'); this.destroy(); })`;
    const as = async (user: number): Promise<string> =>
      (
        await execute(
          process.execPath,
          ['-e', `process.setgroups?.([]); process.setgid(${user}); process.setuid(${user}); ${ask}`],
          { cwd: '/' },
        )
      ).stdout;
    expect(await as(65534)).toBe('EACCES\n');
    expect(await as(0)).toBe('connected\n');
  });

  test('is not asked where somebody else could answer', async () => {
    const refused = async (): Promise<void> => {
      const { code, stderr, stdout } = await sjs(['call', '--warm', 'functions', 'add', '1', '2']);
      expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
      expect(stderr).toContain('is not yours alone');
    };
    await start(functions, '--size', '1');
    chmodSync(poolsOf(''), 0o770);
    await refused();
    chmodSync(poolsOf(''), 0o700);
    chmodSync(poolsOf(digits(functions)), 0o777);
    await refused();
    chmodSync(poolsOf(digits(functions)), 0o700);
    await sjs(['pool', 'stop', '--all']);
    // A socket of somebody else, and one that a link leads to.
    const elsewhere = await makeFolder();
    const server = createServer().listen(join(elsewhere, '1-00000000.sock'));
    await once(server, 'listening');
    try {
      chmodSync(elsewhere, 0o700);
      await symlink(elsewhere, poolsOf(digits(functions)));
      await refused();
      await execute('rm', [poolsOf(digits(functions))]);
      await mkdir(poolsOf(digits(functions)), { mode: 0o700 });
      await execute('cp', ['-a', join(elsewhere, '1-00000000.sock'), poolsOf(digits(functions))]);
      await execute('chown', ['65534', join(poolsOf(digits(functions)), '1-00000000.sock')]);
      await refused();
    } finally {
      server.close();
      await execute('rm', ['-rf', poolsOf(digits(functions))]);
    }
  });

  test('works below a path longer than the kernel takes for one', async () => {
    const long = join(home, 'l'.repeat(100), 'sjs');
    await mkdir(long, { recursive: true, mode: 0o700 });
    const env = { SJS_HOME: long };
    const code = 'export const f = () => 1;';
    const { stdout, code: status } = await sjs(['pool', 'start', '--size', '1', await file(code)], { env });
    images.add(stdout.trim());
    expect(status).toBe(0);
    expect(await sjs(['call', '--warm', stdout.trim(), 'f'], { env })).toEqual({
      code: 0,
      stdout: '1\n',
      stderr: '',
    });
    expect((await sjs(['pool', 'status'], { env })).stdout).toContain(stdout.trim());
    expect(await sjs(['pool', 'stop'], { env })).toMatchObject({ code: 0, stdout });
  });

  test('answers nothing to what is no frame, and to what speaks otherwise', async () => {
    const { pid } = await start(functions, '--size', '1');
    const folder = poolsOf(digits(functions));
    const path = join(folder, readdirSync(folder)[0] ?? '');
    const tell = async (bytes: Buffer): Promise<string> => {
      const socket = connect(path);
      socket.write(bytes);
      let text = '';
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        text += chunk.toString();
        break;
      }
      return text.slice(5);
    };
    expect(await tell(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toBe('');
    expect(await tell(Buffer.from([0, 255, 255, 255, 255]))).toBe('');
    expect(await tell(encodeFrame('hello', 'nono'))).toBe('');
    expect(await tell(encodeFrame('call', 'nono'))).toBe('');
    const hello = JSON.stringify({ protocol: 0, scene: {}, target: functions });
    expect(await tell(encodeFrame('hello', hello))).toContain('another version of sjs');
    expect((await status())[0]).toMatchObject({ pid, ready: 1 });
  });
});

const file = async (code: string): Promise<string> => join(await makeFolder({ 'f.mjs': code }), 'f.mjs');

test('what goes wrong while nobody looks stands in a file beside the socket', async () => {
  const pool = await start(await file('export const g = () => 2;'), '--size', '1');
  await execute('docker', ['rm', '-f', ...(await containers())]);
  await execute('docker', ['image', 'rm', '-f', pool.tag]);
  expect(await sjs(['call', '--warm', pool.tag, 'g'])).not.toMatchObject({ code: 0 });
  const log = poolsOf(`${digits(pool.tag)}.log`);
  expect(pool['log']).toBe(log);
  const text = await until('it is written', async () => existsSync(log) && (await readFile(log, 'utf8')));
  expect(text).toMatch(new RegExp(`^[0-9T:.Z-]{24} the pool of ${pool.tag}: `));
  expect(lstatSync(log).mode & 0o777).toBe(0o600);
});

afterAll(async () => {
  await sjs(['pool', 'stop', '--all']);
});
