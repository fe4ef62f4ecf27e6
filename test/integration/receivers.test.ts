import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { RunRecord } from '../../src/index.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

jest.setTimeout(60_000);
cleanFolders();

const PROGRAM = `const [how, bytes] = process.argv.slice(2);
const { writeSync } = require('node:fs');
const say = () => { try { writeSync(1, 'x'.repeat(1023) + '\\n'); } catch (error) { if (error.code !== 'EAGAIN') throw error; } };
if (how === 'flood') for (;;) say();
if (how === 'some') { for (let left = Number(bytes); left > 0; left -= 1024) say(); }
if (how === 'wait') { say(); setInterval(() => {}, 1000); }
if (how === 'polite') { say(); process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000); }
`;

let home: string;
let tag: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  home = await makeFolder();
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('receivers', '  resources: { output: 64Mi }\n'),
    'index.js': PROGRAM,
  });
  const built = await runSjs(home, ['build', folder, '--json']);
  expect(built).toMatchObject({ code: 0 });
  ({ tag } = JSON.parse(built.stdout) as { tag: string });
  environment = {
    PATH: process.env['PATH'],
    HOME: home,
    SJS_HOME: join(home, 'sjs'),
    SJS_POLICY: world.policyFile,
  };
});
afterAll(() => {
  execFileSync('docker', ['image', 'rm', '-f', tag], { stdio: 'ignore' });
});

const main = resolve('dist/cli/main.cjs');

/** sjs with a stdout of our making: a pipe that is read only when somebody does. */
function start(words: readonly string[], stdout: 'pipe' | number = 'pipe'): ChildProcess {
  return spawn(process.execPath, [main, ...words], {
    env: environment,
    cwd: home,
    stdio: ['ignore', stdout, 'pipe'],
  });
}

async function newest(): Promise<RunRecord> {
  const { stdout } = await runSjs(home, ['runs', '--json']);
  return (JSON.parse(stdout) as RunRecord[])[0]!;
}

/** The newest record once it is finished, and that nothing of it is left in the engine. */
async function finished(after: string | null, withinMs = 30_000): Promise<RunRecord> {
  const begin = performance.now();
  for (;;) {
    const record = await newest();
    if (record && record.id !== after && record.finishedAt !== null) return record;
    if (performance.now() - begin > withinMs)
      throw new Error(`the run is still ${record?.state ?? 'not there'}`);
    await delay(100);
  }
}

async function untilRemoved(): Promise<void> {
  const begin = performance.now();
  for (;;) {
    const filter = `label=dev.sjs.run.home=${join(home, 'sjs')}`;
    if (execFileSync('docker', ['ps', '-aq', '--filter', filter], { encoding: 'utf8' }).trim() === '') return;
    if (performance.now() - begin > 20_000) throw new Error('a container is left');
    await delay(100);
  }
}

const lastId = async (): Promise<string | null> => (await newest())?.id ?? null;

async function end(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode;
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? signal;
}

test('the limit holds and the record is closed while nobody reads stdout; what was written is then delivered', async () => {
  const before = await lastId();
  const child = start(['run', tag, '--timeout', '2s', '--', 'flood']);
  child.stdout!.pause();
  const record = await finished(before);
  expect(record).toMatchObject({ state: 'timed-out', signal: 'SIGKILL' });
  expect(record.durationMs).toBeLessThan(2000 + 5000);
  await untilRemoved();
  expect(child.exitCode).toBeNull();
  expect((await text(child.stdout!)).length).toBe(record.stdout!.bytes);
  expect(await end(child)).toBe(124);
});

test('a terminal that is stopped stops neither the clock nor the record', async () => {
  const before = await lastId();
  // script(1) gives a terminal; when nobody reads from it, it reads no more from that.
  const command = `"${process.execPath}" "${main}" run ${tag} --raw --timeout 2s -- flood`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    env: environment,
    cwd: home,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.pause();
  try {
    expect(await finished(before)).toMatchObject({ state: 'timed-out' });
    await untilRemoved();
  } finally {
    child.stdout.resume();
    await end(child);
  }
});

test('a program that has ended is recorded although nobody takes its output, and a signal ends the wait', async () => {
  const before = await lastId();
  const child = start(['run', tag, '--', 'some', String(512 * 1024)]);
  child.stdout!.pause();
  expect(await finished(before)).toMatchObject({ state: 'succeeded', stdout: { bytes: 512 * 1024 } });
  await untilRemoved();
  await delay(300);
  child.kill('SIGTERM');
  expect(await end(child)).toBe(143);
});

test('a reader that has seen enough ends the run: interrupted, with what was written, and quietly', async () => {
  const before = await lastId();
  const child = start(['run', tag, '--timeout', '30s', '--', 'flood']);
  const said = text(child.stderr!);
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  expect(await end(child)).toBe(141);
  const record = await finished(before);
  expect(record).toMatchObject({ state: 'interrupted', signal: null, error: null });
  expect(record.startedAt).not.toBeNull();
  expect(record.durationMs).toBeLessThan(20_000);
  expect(record.stdout!.bytes).toBeGreaterThan(0);
  expect(await said).not.toMatch(/EPIPE|INTERNAL/);
  await untilRemoved();
});

test('a full disk behind stdout is an error in one line, and the record is kept', async () => {
  const before = await lastId();
  const full = openSync('/dev/full', 'w');
  const child = start(['run', tag, '--', 'wait'], full);
  closeSync(full);
  const said = await text(child.stderr!);
  expect(await end(child)).toBe(125);
  expect(said.trim().split('\n')).toHaveLength(1);
  expect(said).toMatch(/no space left/);
  const record = await finished(before);
  expect(record).toMatchObject({ state: 'interrupted', error: null, stdout: { bytes: 1024 } });
  await untilRemoved();
});

test.each([
  ['wait', 'SIGINT', 130],
  ['polite', 'SIGTERM', 143],
] as const)('the record of a run that %ss says which signal interrupted it', async (how, signal, status) => {
  const before = await lastId();
  const child = start(['run', tag, '--', how]);
  await once(child.stdout!, 'data');
  child.kill(signal);
  expect(await end(child)).toBe(status);
  expect(await finished(before)).toMatchObject({ state: 'interrupted', signal });
});
