import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);

/** Says what it gets, and goes on until it is ended; `deaf` takes no notice of SIGTERM. */
const PROGRAM = `const [mode] = process.argv.slice(2);
process.on('SIGUSR2', () => process.stdout.write('got USR2\\n'));
if (mode === 'deaf') process.on('SIGTERM', () => process.stdout.write('deaf\\n'));
if (mode === 'slow')
  process.on('SIGTERM', () => {
    process.stdout.write('ending\\n');
    setTimeout(() => { process.stdout.write('ended\\n'); process.exit(0); }, 3000);
  });
process.stdout.write('out 1\\n');
process.stderr.write('err 1\\n');
if (mode === 'short') { process.exitCode = 3; setTimeout(() => process.stdout.write('out 2\\n'), 500); }
else setInterval(() => {}, 1000);
`;

let home: string;
let tag: string;

beforeAll(async () => {
  home = await makeFolder();
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('managed', '  resources: { timeout: 2m }\n'),
    'index.js': PROGRAM,
  });
  tag = (await sjs('build', folder)).trim();
});

afterAll(async () => {
  const { stdout } = await runSjs(home, ['ps', '-q']);
  const left = stdout.split('\n').filter(Boolean);
  if (left.length > 0) await runSjs(home, ['kill', ...left]);
  await execute('docker', ['image', 'rm', '-f', tag]).catch(() => undefined);
  expect(left).toEqual([]);
});

async function sjs(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runSjs(home, args);
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}

const recordOf = async (id: string): Promise<RunRecord> => JSON.parse(await sjs('inspect', id)) as RunRecord;
/** Begins a run of its own and waits until its program has printed. */
async function begin(mode: string, ...flags: string[]): Promise<string> {
  const id = (await sjs('run', '-d', ...flags, 'managed', '--', mode)).trim();
  await until('the program runs', async () =>
    (await sjs('logs', '--stderr', '--raw', '--json', id)).includes('err 1'),
  );
  return id;
}
const containersOf = async (id: string): Promise<string> =>
  (await execute('docker', ['ps', '-aq', '--filter', `name=sjs-${id.toLowerCase()}`])).stdout;

const MAIN = resolve('dist/cli/main.cjs');
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: home,
  SJS_HOME: join(home, 'sjs'),
  SJS_POLICY: world.policyFile,
});

/** A pipe that takes nothing: whoever writes to it waits. It ends with the last who has it open. */
async function makeFullPipe(): Promise<number> {
  const path = join(await makeFolder(), 'full');
  await execute('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    expect(error).toMatchObject({ code: 'EAGAIN' });
  }
  return fd;
}

/** The command line as a process that can be killed. */
function start(...args: string[]): ChildProcess & { text: () => string } {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: environment(),
    cwd: home,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  return Object.assign(child, { text: () => text });
}

test('a detached run is listed, followed, measured and stopped by others, and says that it was interrupted', async () => {
  const id = await begin('wait');
  expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  const listed = JSON.parse(await sjs('ps', '--json')) as RunRecord[];
  expect(listed.map((run) => [run.id, run.state])).toEqual([[id, 'running']]);
  expect(await sjs('ps')).toMatch(new RegExp(`${id.slice(0, 16)} +${tag} +wait .* up `));
  expect((await sjs('ps', '-q', '--filter', 'status=running', '--filter', 'name=other')).trim()).toBe('');

  const following = start('logs', '-f', id);
  await until('the log is followed', () => Promise.resolve(following.text().includes('out 1')));
  await sjs('kill', '-s', 'USR2', id.slice(0, 20).toLowerCase());
  await until('the signal is in the log', () => Promise.resolve(following.text() === 'out 1\ngot USR2\n'));

  const sample = JSON.parse(await sjs('stats', '--no-stream', '--json', id)) as Record<string, number>;
  expect(sample).toMatchObject({ id, tag, memoryLimitBytes: 256 * 1024 ** 2 });
  expect(sample['memoryBytes']).toBeGreaterThan(1024 ** 2);
  expect(sample['pids']).toBeGreaterThan(1);
  expect(await sjs('stats', '--no-stream')).toContain('256 MiB');

  const waiting = runSjs(home, ['wait', id]);
  const ended = once(following, 'close');
  expect((await sjs('stop', id)).trim()).toBe(id);
  expect(await waiting).toMatchObject({ code: 0, stdout: '143\n' });
  await ended;
  expect(following.text()).toBe('out 1\ngot USR2\n');
  expect(await recordOf(id)).toMatchObject({ state: 'interrupted', signal: 'SIGTERM' });
  expect(await containersOf(id)).toBe('');
  expect(await sjs('ps', '-q')).toBe('');
  expect(await sjs('ps', '-a')).toContain('interrupted (143)');
  // Over already: as with docker, that is no failure for stop, and one for kill.
  expect((await sjs('stop', id)).trim()).toBe(id);
  const killed = await runSjs(home, ['kill', id, '--json']);
  expect(JSON.parse(killed.stdout)).toMatchObject({ error: { code: 'RUN_ENDED' } });
});

test('a program that takes no notice is killed after the time it was given', async () => {
  const id = await begin('deaf');
  const stopped = JSON.parse(await sjs('stop', '-t', '1', '--json', id)) as { stopped: RunRecord[] };
  expect(stopped.stopped).toMatchObject([{ id, state: 'interrupted', signal: 'SIGTERM', exitCode: 137 }]);
  expect(await sjs('logs', id)).toBe('out 1\ndeaf\n');
});

test('a second stop waits as long as it says', async () => {
  const id = await begin('slow');
  const first = sjs('stop', '-t', '60', id);
  await until('the first has arrived', async () => (await sjs('logs', id)).includes('ending'));
  await Promise.all([first, sjs('stop', '-t', '60', id)]);
  expect(await sjs('logs', id)).toBe('out 1\nending\nended\n');
  expect(await recordOf(id)).toMatchObject({ state: 'interrupted', exitCode: 0 });
});

test('a killed run says killed; rm -f kills first', async () => {
  const [first, second] = [await begin('wait'), await begin('wait')];
  await sjs('kill', first);
  expect(await recordOf(first)).toMatchObject({ state: 'killed', signal: 'SIGKILL', exitCode: 137 });
  const refused = await runSjs(home, ['rm', second]);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect((await sjs('rm', '-f', second)).trim()).toBe(second);
  expect(await runSjs(home, ['inspect', second])).toMatchObject({ code: 1 });
});

describe('a run whose sjs is dead', () => {
  test.each([
    ['stop', { state: 'interrupted', signal: 'SIGTERM' }],
    ['kill', { state: 'killed', signal: 'SIGKILL' }],
  ])('is ended by %s, and its record says so', async (verb, ending) => {
    const id = await begin('wait');
    const { owner } = await recordOf(id);
    process.kill(owner.pid, 'SIGKILL');
    expect((await sjs(verb, id)).trim()).toBe(id);
    expect(await recordOf(id)).toMatchObject(ending);
    expect(await containersOf(id)).toBe('');
    expect(await sjs('logs', id)).toBe('out 1\n');
  });
});

test('an sjs that is stopped does not keep its run from being killed', async () => {
  const id = await begin('wait');
  const { owner } = await recordOf(id);
  process.kill(owner.pid, 'SIGSTOP');
  try {
    const { code, stdout } = await runSjs(home, ['kill', '--json', id]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'RUN_UNFINISHED', next: expect.stringContaining(`kill -CONT ${owner.pid}`) },
    });
  } finally {
    process.kill(owner.pid, 'SIGCONT');
  }
  await sjs('wait', id);
  expect((await recordOf(id)).state).toBe('killed');
});

test('what a run wrote is followed to its end, and shown since a time', async () => {
  const following = start('logs', '-f', '--json', await begin('short'));
  await once(following, 'close');
  const lines = following.text().trim().split('\n');
  const pieces = lines.map((line) => JSON.parse(line) as { id: string; stream: string; text: string });
  expect(
    pieces
      .filter(({ stream }) => stream === 'stdout')
      .map(({ text }) => text)
      .join(''),
  ).toBe('out 1\nout 2\n');
  const id = pieces[0]?.id ?? '';
  expect(await sjs('wait', id)).toBe('3\n');
  const { outputTimes, createdAt } = await recordOf(id);
  const last = Date.parse(createdAt) + (outputTimes?.marks.at(-1)?.[0] ?? 0);
  expect(await sjs('logs', '--since', new Date(last).toISOString(), id)).toBe('out 2\n');
  expect(await sjs('logs', '--since', new Date(last + 60_000).toISOString(), id)).toBe('');
  expect(await sjs('logs', '--tail', '1', id)).toBe('out 2\n');
  expect(await sjs('runs', '-q', '--state', 'failed', '--name', 'managed', '--since', '1h')).toContain(id);
  expect(await sjs('runs', '--format', '{{.id}}\\t{{.exitCode}}', '--tag', tag)).toContain(`${id}\t3\n`);
});

describe('-d', () => {
  test('says what keeps a run from starting, with the exit status of run', async () => {
    const { code, stdout } = await runSjs(home, ['run', '-d', '--json', '-m', '512Mi', 'managed']);
    expect(code).toBe(126);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'RIGHTS_WIDENED' } });
  });

  test('leaves nothing when it is killed before it has said the id', async () => {
    const before = (await sjs('runs', '-q')).trim().split('\n');
    const full = await makeFullPipe();
    const detaching = spawn(process.execPath, [MAIN, 'run', '-d', 'managed', '--', 'wait'], {
      env: environment(),
      cwd: home,
      stdio: ['ignore', full, 'ignore'],
    });
    const ended = once(detaching, 'exit');
    closeSync(full);
    const id = await until('a run began', async () =>
      (await sjs('runs', '-q'))
        .trim()
        .split('\n')
        .find((one) => !before.includes(one)),
    );
    // By then the other half has told the id, and this one cannot say it.
    await until('the program runs', async () => (await sjs('logs', '--json', id)).includes('err 1'));
    expect((await recordOf(id)).state).toBe('running');
    detaching.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    await sjs('wait', id);
    expect((await recordOf(id)).state).toBe('interrupted');
    expect(await containersOf(id)).toBe('');
  });
});
