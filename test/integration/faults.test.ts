// SIGKILL at random moments, of builds, of runs, of reapers, of all of them; a cleaning sjs beside a working one; a disk
// that is full. After the next command nothing is left, and every record tells the truth (ATTACKS b15).
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { RUN_EXIT } from '../../src/cli/exit-codes.js';
import { BUILDING } from '../../src/model/building-tag.js';
import { sha256, shortDigest } from '../../src/model/digest.js';
import type { RunRecord } from '../../src/index.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

jest.setTimeout(180_000);
cleanFolders();

const MOMENTS = 50;
const AT_ONCE = 4;
/** The limit of every run that is killed. */
const LIMIT_MS = 3000;

/** Random numbers that come again: a failure is tried again with SJS_TEST_SEED. */
const seed = Number(process.env['SJS_TEST_SEED'] ?? Date.now() % 2 ** 31);
let state = seed;
function random(): number {
  // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const main = resolve('dist/cli/main.cjs');
const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8' }).trim();
const lines = (text: string): string[] => text.split('\n').filter(Boolean);

let home: string;
let tag: string;
let stranger: string;
const tags = new Set<string>();

function start(words: readonly string[]): ChildProcess {
  return spawn(process.execPath, [main, ...words], {
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      SJS_HOME: join(home, 'sjs'),
      SJS_POLICY: world.policyFile,
    },
    cwd: home,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** What of this home the engine has. */
function remains(): { containers: string[]; volumes: string[]; building: string[] } {
  const filter = `label=dev.sjs.run.home=${join(home, 'sjs')}`;
  return {
    containers: lines(docker('ps', '-aq', '--filter', filter)),
    volumes: lines(docker('volume', 'ls', '-q', '--filter', filter)),
    building: lines(docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', BUILDING)).filter((one) =>
      one.includes(`:${shortDigest(sha256(join(home, 'sjs')))}.`),
    ),
  };
}

async function records(): Promise<RunRecord[]> {
  const { code, stdout } = await runSjs(home, ['runs', '--json']);
  expect(code).toBe(0);
  return JSON.parse(stdout) as RunRecord[];
}

/** Reapers of this home's runs, by pid. */
async function reapers(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found: number[] = [];
  for (const pid of pids) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const environ = line.includes('reaper.cjs') ? await parentOf(pid) : null;
    if (environ !== null) found.push(Number(pid));
  }
  return found;
}
/** The sjs that started a process, when it is one of ours; else null. */
async function parentOf(pid: string): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  return own.has(parent) ? parent : null;
}
const own = new Set<number>();

async function until(what: () => boolean | Promise<boolean>, timeoutMs: number, why: string): Promise<void> {
  const begin = performance.now();
  while (!(await what())) {
    if (performance.now() - begin > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${why}`);
    await delay(100);
  }
}

/** Starts sjs, kills it (or its reaper, or both) after a while, and says whether it had ended before. */
async function startAndKill(
  words: readonly string[],
  afterMs: number,
  victim: 'sjs' | 'reaper' | 'both',
): Promise<void> {
  const child = start(words);
  own.add(child.pid!);
  const exited = once(child, 'exit');
  child.stdout!.resume();
  await Promise.race([exited, delay(afterMs)]);
  if (victim !== 'sjs') {
    for (const pid of await reapers()) {
      if ((await parentOf(String(pid))) === child.pid) kill(pid);
    }
  }
  if (victim !== 'reaper') child.kill('SIGKILL');
  await exited;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** Carries tasks out, some at a time. */
async function inBatches(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...tasks];
  const work = async (): Promise<void> => {
    for (let task = left.shift(); task; task = left.shift()) await task();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const PROGRAM = `console.log('up');
if (process.argv[2] === 'for-ever') for (;;);
setTimeout(() => console.log('done'), Number(process.argv[2]));
`;

beforeAll(async () => {
  home = await makeFolder();
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('faults', '  filesystem: { out: 64Ki }\n'),
    'index.js': PROGRAM,
  });
  const built = await runSjs(home, ['build', folder, '--json']);
  expect(built).toMatchObject({ code: 0 });
  ({ tag } = JSON.parse(built.stdout) as { tag: string });
  tags.add(tag);
  // Somebody's own, with a name and labels like ours (the image has them).
  stranger = docker(
    'run',
    '-d',
    '--network',
    'none',
    '--name',
    `sjs-stranger-${process.pid}`,
    tag,
    'for-ever',
  );
});

afterAll(() => {
  docker('rm', '-f', stranger);
  for (const one of tags) execFileSync('docker', ['image', 'rm', '-f', one], { stdio: 'ignore' });
});

/** Nothing is left after one more command, and the stranger is well. */
async function expectClean(): Promise<void> {
  expect(await runSjs(home, ['prune'])).toMatchObject({ code: 0 });
  expect(remains()).toEqual({ containers: [], volumes: [], building: [] });
  expect(await readdir(join(home, 'sjs/tmp'))).toEqual([]);
  expect(await readdir(join(home, 'sjs/open')).catch(() => [])).toEqual([]);
  expect(docker('inspect', '-f', '{{.State.Running}}', stranger)).toBe('true');
}

test(`SIGKILL at ${MOMENTS} random moments of a run, of its reaper, of both (seed ${seed})`, async () => {
  const begin = performance.now();
  expect(await runSjs(home, ['run', tag, '--', '300'])).toMatchObject({ code: 0, stdout: 'up\ndone\n' });
  const lengthMs = (performance.now() - begin) * 1.5;
  const victims = ['sjs', 'sjs', 'sjs', 'reaper', 'both'] as const;
  await inBatches(
    Array.from({ length: MOMENTS }, (_, index) => () => {
      const victim = victims[index % victims.length]!;
      return startAndKill(['run', tag, '--timeout', '3s', '--', '300'], random() * lengthMs, victim);
    }),
  );
  // What lost both may still run; a command waits for it, within its limit.
  await until(
    async () => (await records()).every((record) => record.finishedAt !== null),
    LIMIT_MS + 30_000,
    'every record is finished',
  );
  await expectClean();
  for (const record of await records()) {
    const shown = await runSjs(home, ['logs', record.id]);
    expect(shown.code).toBe(0);
    if (record.state === 'succeeded') {
      expect({ exitCode: record.exitCode, stdout: shown.stdout }).toEqual({
        exitCode: 0,
        stdout: 'up\ndone\n',
      });
    } else {
      // Killed before its program began, or before the engine said how it ended.
      expect(['failed', 'timed-out', 'killed', 'interrupted']).toContain(record.state);
      expect('up\ndone\n').toContain(shown.stdout);
      if (record.state === 'failed') expect(record.error?.code).toBe('CONTAINER_LOST');
    }
  }
});

/** Sandboxes of this home whose program runs. */
function alive(): string[] {
  const filter = `label=dev.sjs.run.home=${join(home, 'sjs')}`;
  const names = lines(docker('ps', '--filter', filter, '--format', '{{.Names}}'));
  return names.filter((name) => !name.endsWith('-out'));
}

test('code whose sjs was killed is dead five seconds after its limit with no further command', async () => {
  const children = Array.from({ length: 4 }, () =>
    start(['run', tag, '--timeout', `${LIMIT_MS}ms`, '--', 'for-ever']),
  );
  await Promise.all(children.map((child) => once(child.stdout!, 'data')));
  expect(alive()).toHaveLength(4);
  for (const child of children) child.kill('SIGKILL');
  await until(() => alive().length === 0, LIMIT_MS + 5000, 'all are dead');
  await expectClean();
  const ours = (await records()).slice(0, 4);
  for (const record of ours) expect(record).toMatchObject({ state: 'timed-out', stdout: { bytes: 3 } });
});

test(`SIGKILL at ${MOMENTS} random moments of a build (ATTACKS D14, S09; seed ${seed})`, async () => {
  const folders = await Promise.all(
    Array.from({ length: MOMENTS }, (_, index) =>
      makeFolder({
        'sandbox.yaml': sandboxYaml(`faults-${process.pid}-${index}`),
        'index.js': `console.log(${index}, ${seed})\n`,
      }),
    ),
  );
  const begin = performance.now();
  const first = await runSjs(home, ['build', folders[0]!, '--json']);
  expect(first.code).toBe(0);
  tags.add((JSON.parse(first.stdout) as { tag: string }).tag);
  const lengthMs = (performance.now() - begin) * 1.5;
  const untagged = (): string[] =>
    lines(
      docker('image', 'ls', '-q', '--filter', 'dangling=true', '--filter', 'label=dev.sjs.format'),
    ).sort();
  const before = untagged();
  await inBatches(folders.map((folder) => () => startAndKill(['build', folder], random() * lengthMs, 'sjs')));
  // An engine that was told to stop may still be at it.
  await until(
    async () => {
      expect((await runSjs(home, ['prune'])).code).toBe(0);
      return remains().building.length === 0 && untagged().every((image) => before.includes(image));
    },
    15_000,
    'no image is left half built',
  );
  await expectClean();
  const listed = await runSjs(home, ['images', '--json']);
  expect(listed.code).toBe(0);
  for (const { tag: one } of JSON.parse(listed.stdout) as { tag: string }[]) tags.add(one);
  // Whatever was cut short is built as if nothing had happened.
  for (const folder of [folders[1]!, folders[2]!]) {
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const built = await runSjs(home, ['build', folder, '--json']);
    expect(built).toMatchObject({ code: 0 });
    const { tag: again } = JSON.parse(built.stdout) as { tag: string };
    tags.add(again);
    expect((await runSjs(home, ['run', again])).code).toBe(0);
  }
});

test('a program ends at its limit while its sjs is stopped, and the record tells the truth when that goes on', async () => {
  const child = start(['run', tag, '--timeout', '1s', '--', 'for-ever']);
  own.add(child.pid!);
  const exited = once(child, 'exit');
  await once(child.stdout!, 'data');
  child.kill('SIGSTOP');
  try {
    expect(alive()).toHaveLength(1);
    await until(() => alive().length === 0, 1000 + 5000, 'it is dead without its sjs');
  } finally {
    child.kill('SIGCONT');
  }
  expect((await exited)[0]).toBe(RUN_EXIT.timedOut);
  expect((await records())[0]).toMatchObject({ state: 'timed-out', exitCode: 137 });
  await expectClean();
});

test('one that cleans leaves alone what another one does', async () => {
  const working = Array.from({ length: 6 }, () => start(['run', tag, '--', '2000']));
  const outputs = working.map((child) => text(child.stdout!));
  const codes = working.map(async (child) => (await once(child, 'exit'))[0] as number);
  let isDone = false;
  const cleaning = (async () => {
    for (let times = 0; !isDone || times < 5; times += 1) {
      expect((await runSjs(home, ['prune'])).code).toBe(0);
    }
  })();
  expect(await Promise.all(codes)).toEqual(working.map(() => 0));
  isDone = true;
  await cleaning;
  expect(await Promise.all(outputs)).toEqual(working.map(() => 'up\ndone\n'));
  await expectClean();
  for (const record of (await records()).slice(0, 6)) expect(record.state).toBe('succeeded');
});

test('a record folder that is full: no half record, nothing left, and all is well when there is space again', async () => {
  const mount = join(home, 'small');
  await mkdir(mount, { mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', mount]);
  try {
    const env = { SJS_HOME: join(mount, 'sjs') };
    const folder = await makeFolder({
      'sandbox.yaml': sandboxYaml('faults-full', '  resources: { output: 2Mi }\n'),
      'index.js': `require('fs').writeSync(1, 'x'.repeat(Number(process.argv[2])));\n`,
    });
    const filler = join(mount, 'filler');
    const fill = (keptBytes: number) =>
      execFileSync('sh', [
        '-c',
        `cat /dev/zero > '${filler}' 2>/dev/null; truncate -s -${keptBytes} '${filler}'`,
      ]);
    fill(0);
    const refused = await runSjs(home, ['build', folder, '--json'], { env });
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'DISK_FULL' } });
    execFileSync('rm', [filler]);
    const built = await runSjs(home, ['build', folder, '--json'], { env });
    expect(built).toMatchObject({ code: 0 });
    const { tag: small } = JSON.parse(built.stdout) as { tag: string };
    tags.add(small);
    // From no space at all to enough for the record, but not for the output.
    for (const keptBytes of [0, 4096, 8192, 65536, 131072]) {
      fill(keptBytes);
      const result = await runSjs(home, ['run', small, '--json', '--', '600000'], { env });
      expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'DISK_FULL' } });
      expect(lines(docker('ps', '-aq', '--filter', `label=dev.sjs.run.home=${env.SJS_HOME}`))).toEqual([]);
      execFileSync('rm', [filler]);
      expect(await runSjs(home, ['run', small, '--', '5'], { env })).toMatchObject({
        code: 0,
        stdout: 'xxxxx',
      });
      expect(await readdir(join(env.SJS_HOME, 'tmp'))).toEqual([]);
    }
    const { stdout } = await runSjs(home, ['runs', '--json'], { env });
    for (const record of JSON.parse(stdout) as RunRecord[]) {
      if (record.state === 'succeeded') expect(record.stdout).toMatchObject({ bytes: 5 });
      else expect(record).toMatchObject({ state: 'failed', exitCode: null });
      // Where there was no space to say so either, the next command found a run without its sjs.
      if (record.state === 'failed') expect(['DISK_FULL', 'CONTAINER_LOST']).toContain(record.error?.code);
    }
  } finally {
    execFileSync('umount', ['-l', mount]);
  }
});

test('a record folder cut at any write: runs, inspect and replay say the truth', async () => {
  const cut = await makeFolder();
  const kept = join(home, 'sjs');
  const [record] = (await records()).filter((one) => one.state === 'succeeded');
  const { id } = record!;
  const file = join(cut, 'sjs/runs', `${id}.json`);
  const opened = join(cut, 'sjs/open', id);
  const whole = await readFile(join(kept, 'runs', `${id}.json`), 'utf8');
  const unfinished = JSON.stringify({
    ...(JSON.parse(whole) as RunRecord),
    ...{ state: 'running', exitCode: null, finishedAt: null, durationMs: null, stdout: null, stderr: null },
    owner: { ...record!.owner, pid: 2 ** 22 - 1, startTime: '1', home: join(cut, 'sjs') },
  });
  const states: [string, () => Promise<unknown>, string | null][] = [
    ['marked, no record', () => writeFile(opened, ''), null],
    ['marked and begun', async () => (await writeFile(opened, ''), writeFile(file, unfinished)), 'failed'],
    [
      'finished and still marked',
      async () => (await writeFile(opened, ''), writeFile(file, whole)),
      'succeeded',
    ],
    ['finished', () => writeFile(file, whole), 'succeeded'],
    ['cut in the middle', () => writeFile(file, whole.slice(0, whole.length / 2)), 'unreadable'],
    ['empty', () => writeFile(file, ''), 'unreadable'],
    [
      'half written aside',
      () => writeFile(join(cut, 'sjs/tmp/000000000000-1-1-000000000000'), whole.slice(9)),
      null,
    ],
  ];
  const env = { SJS_HOME: join(cut, 'sjs') };
  for (const [name, make, expected] of states) {
    execFileSync('rm', ['-rf', join(cut, 'sjs')]);
    execFileSync('cp', ['-a', kept, join(cut, 'sjs')]);
    for (const folder of ['runs', 'open', 'tmp']) {
      execFileSync('rm', ['-rf', join(cut, 'sjs', folder)]);
      await mkdir(join(cut, 'sjs', folder), { recursive: true, mode: 0o700 });
    }
    await make();
    const runs = await runSjs(home, ['runs', '--json'], { env });
    const inspected = await runSjs(home, ['inspect', id, '--json'], { env });
    const replayed = await runSjs(home, ['replay', id, '--json'], { env });
    const seen = { name, states: (JSON.parse(runs.stdout) as RunRecord[]).map((one) => one.state) };
    expect({ ...seen, code: runs.code }).toEqual({
      name,
      states: expected === null || expected === 'unreadable' ? [] : [expected],
      code: 0,
    });
    if (expected === 'succeeded') {
      expect(inspected.code).toBe(0);
      expect(JSON.parse(replayed.stdout)).toMatchObject({ reproduced: true });
    } else {
      const code =
        expected === null ? 'RUN_NOT_FOUND' : expected === 'failed' ? 'RUN_UNFINISHED' : 'STORE_INVALID';
      expect(JSON.parse(replayed.stdout)).toMatchObject({ error: { code } });
      if (expected !== 'failed') expect(JSON.parse(inspected.stdout)).toMatchObject({ error: { code } });
    }
  }
});
