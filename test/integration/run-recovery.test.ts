import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { outName, ownerLabels, sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { startReaper } from '../../src/adapters/docker/reaper.js';
import { isOwnerAlive } from '../../src/adapters/process/owner.js';
import type { RunOutcome } from '../../src/ports/engine.js';
import { makeRunId, openEngine, type EngineWorld, type PlanOverrides } from '../support/engine-run.js';

let world: EngineWorld;
let childFile: string;
let home: string;
beforeAll(async () => {
  world = await openEngine();
  childFile = await world.bundle('test/support/engine-child.ts', 'engine-child.mjs');
  home = world.owner.home;
});
afterAll(async () => {
  expect(await world.engine.listRuns(home)).toEqual([]);
  await world.close();
});

/** Starts a run in a process of its own; resolves once its output contains `until`. */
async function startRun(
  given: PlanOverrides,
  until: string,
): Promise<{ child: ChildProcess; runId: string }> {
  const runId = makeRunId();
  const task = [childFile, runId, home, world.folder, JSON.stringify(world.plan(given))];
  const child = spawn(process.execPath, task, { stdio: ['ignore', 'pipe', 'inherit'] });
  await waitFor(child, until);
  return { child, runId };
}

async function waitFor(child: ChildProcess, until: string): Promise<void> {
  let text = '';
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.includes(until)) return;
  }
  throw new Error(`the child ended without ${until}: ${text}`);
}

async function killHard(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function stateOf(name: string): Promise<string> {
  try {
    return (await world.client.docker.getContainer(name).inspect()).State.Status;
  } catch {
    return 'absent';
  }
}

async function until(what: () => Promise<boolean>, timeoutMs: number): Promise<number> {
  const begin = performance.now();
  while (!(await what())) {
    if (performance.now() - begin > timeoutMs) throw new Error(`not within ${timeoutMs} ms`);
    await delay(50);
  }
  return performance.now() - begin;
}

interface Recovered {
  readonly outcome: RunOutcome | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function recover(runId: string, timeoutMs: number, outputBytes = 1024 ** 2): Promise<Recovered> {
  const run = (await world.engine.listRuns(home)).find((one) => one.runId === runId);
  expect(run).toBeDefined();
  expect(await isOwnerAlive(run!.owner)).toBe(false);
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const outcome = await world.engine.recover(
    run!,
    { timeoutMs, outputBytes },
    {
      onStdout: (chunk) => void out.push(Buffer.from(chunk)),
      onStderr: (chunk) => void err.push(Buffer.from(chunk)),
      onConnection: () => undefined,
      // What the outcome leads to is kept before the engine forgets.
      onEnded: async () => expect(await stateOf(sandboxName(runId))).not.toBe('absent'),
    },
  );
  expect(await stateOf(sandboxName(runId))).toBe('absent');
  return { outcome, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** Pids of the processes that watch this run; the first is the reaper itself. */
async function reapersOf(runId: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return pids
    .filter(
      (_pid, index) => lines[index]!.includes('reaper.cjs') && lines[index]!.includes(sandboxName(runId)),
    )
    .sort((a, b) => Number(a) - Number(b));
}

test('a run whose sjs was killed is dead five seconds after its limit, with no further command (X01)', async () => {
  const source = 'require("fs").writeSync(1, "out\\n"); require("fs").writeSync(2, "err\\n"); for(;;);';
  const { child, runId } = await startRun({ code: source, resources: { timeoutMs: 3000 } }, 'out');
  await killHard(child);
  expect(await stateOf(sandboxName(runId))).toBe('running');
  const tookMs = await until(async () => (await stateOf(sandboxName(runId))) === 'exited', 9000);
  expect(tookMs).toBeLessThan(3000 + 5000);
  const { outcome, stdout, stderr } = await recover(runId, 3000);
  expect(outcome).toMatchObject({ end: 'timed-out', exitCode: 137, usage: null });
  expect(outcome!.durationMs).toBeGreaterThanOrEqual(3000);
  expect({ stdout, stderr }).toEqual({ stdout: 'out\n', stderr: 'err\n' });
  await until(async () => (await reapersOf(runId)).length === 0, 5000);
});

test('a run whose sjs is stopped is dead five seconds after its limit, and sjs says so when it goes on', async () => {
  const source = 'console.log("up"); for(;;);';
  const { child, runId } = await startRun({ code: source, resources: { timeoutMs: 3000 } }, 'up');
  const ended = once(child, 'exit');
  let said = '';
  child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.kill('SIGSTOP');
  try {
    const tookMs = await until(async () => (await stateOf(sandboxName(runId))) === 'exited', 20_000);
    expect(tookMs).toBeLessThan(3000 + 5000);
  } finally {
    child.kill('SIGCONT');
  }
  await ended;
  expect(JSON.parse(said.slice(said.lastIndexOf('\n') + 1))).toMatchObject({
    end: 'timed-out',
    exitCode: 137,
  });
  expect(await stateOf(sandboxName(runId))).toBe('absent');
  await until(async () => (await reapersOf(runId)).length === 0, 5000);
});

test('an sjs that is killed while it is stopped leaves what recovery finishes', async () => {
  const source = 'console.log("up"); for(;;);';
  const { child, runId } = await startRun({ code: source, resources: { timeoutMs: 1000 } }, 'up');
  child.kill('SIGSTOP');
  await until(async () => (await stateOf(sandboxName(runId))) === 'exited', 20_000);
  // It waits for what the stopped one may still say.
  expect(await reapersOf(runId)).toHaveLength(1);
  await killHard(child);
  await until(async () => (await reapersOf(runId)).length === 0, 5000);
  expect((await recover(runId, 1000)).outcome).toMatchObject({ end: 'timed-out', exitCode: 137 });
});

test('a run that ends by itself after its sjs was killed is found with output and exit code', async () => {
  const source = 'console.log("one"); setTimeout(() => { console.log("\\ntwo"); process.exit(7) }, 1000)';
  const { child, runId } = await startRun({ code: source }, 'one');
  await killHard(child);
  const { outcome, stdout } = await recover(runId, 20_000);
  expect(outcome).toMatchObject({ end: 'exited', exitCode: 7, oomKilled: false });
  expect(stdout).toBe('one\n\ntwo\n');
});

test('output beyond the limit that nobody read is cut when it is found again', async () => {
  const source =
    'console.log("up"); setTimeout(() => { for (let i = 0; i < 50; i++) console.log("x".repeat(999)) }, 500)';
  const { child, runId } = await startRun({ code: source, resources: { outputBytes: 10_000 } }, 'up');
  await killHard(child);
  const { outcome, stdout } = await recover(runId, 20_000, 10_000);
  expect(outcome).toMatchObject({ end: 'output-limit', truncated: { stdout: true, stderr: false } });
  expect(stdout).toHaveLength(10_000);
});

test('collector and volume of a killed sjs go too', async () => {
  const given = { code: 'console.log("up"); setTimeout(() => {}, 500)', filesystem: { outBytes: 65536 } };
  const { child, runId } = await startRun(given, 'up');
  await killHard(child);
  // Its input ended with sjs: it does not wait for anybody.
  await until(async () => (await stateOf(outName(runId))) === 'exited', 5000);
  expect((await recover(runId, 20_000)).outcome).toMatchObject({ end: 'exited', exitCode: 0 });
  expect(await stateOf(outName(runId))).toBe('absent');
  const volumes = await world.client.docker.listVolumes({ filters: { name: [outName(runId)] } });
  expect(volumes.Volumes ?? []).toEqual([]);
});

test('the reaper has a session of its own, no inherited descriptors, and is a shell until it is needed', async () => {
  const { child, runId } = await startRun({ code: 'setTimeout(() => {}, 1500)' }, '[started]');
  const pids = await reapersOf(runId);
  const pid = pids[0]!;
  const [stat, comm, descriptors] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/comm`, 'utf8'),
    readdir(`/proc/${pid}/fd`),
  ]);
  expect(comm.trim()).toBe('sh');
  const session = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3];
  expect(session).toBe(pid);
  const links = await Promise.all(descriptors.sort().map((fd) => readlink(`/proc/${pid}/fd/${fd}`)));
  // The first is the pipe to sjs.
  expect(new Set(links.slice(1))).toEqual(new Set(['/dev/null']));
  expect(await readlink(`/proc/${pid}/cwd`)).toBe('/');
  await once(child, 'exit');
  await until(async () => (await reapersOf(runId)).length === 0, 2000);
});

test('what was created and never started is removed by the reaper, or by recovery', async () => {
  const dead = { ...world.owner, pid: 2 ** 30, startTime: '1' };
  const create = (runId: string, name?: string) =>
    world.client.docker.createContainer({
      ...(name !== undefined && { name }),
      Image: world.imageId,
      Labels: ownerLabels(runId, dead),
    });
  const [runId, scanned] = [makeRunId(), 'scan'];
  await create(runId, sandboxName(runId));
  await create(scanned);
  const found = await world.engine.listRuns(home);
  expect(found.map((run) => run.runId).sort()).toEqual([runId, scanned].sort());
  for (const run of found) {
    const streams = {
      onStdout: () => undefined,
      onStderr: () => undefined,
      onConnection: () => undefined,
      onEnded: () => Promise.resolve(),
    };
    expect(await world.engine.recover(run, { timeoutMs: 0, outputBytes: 0 }, streams)).toBeNull();
  }
  expect(await world.engine.listRuns(home)).toEqual([]);

  const orphan = makeRunId();
  await create(orphan, sandboxName(orphan));
  const task = {
    endpoint: world.client.endpoint,
    sandbox: sandboxName(orphan),
    out: outName(orphan),
    timeoutMs: 1000,
  };
  const reaper = spawn(process.execPath, [join(world.folder, 'reaper.cjs'), JSON.stringify(task)], {
    stdio: 'ignore',
  });
  await once(reaper, 'exit');
  expect(await stateOf(sandboxName(orphan))).toBe('absent');
});

/** A container as sjs makes it, in whatever way the test wants it otherwise. */
async function createRun(runId: string, code: string, hostConfig: object = {}) {
  return world.client.docker.createContainer({
    name: sandboxName(runId),
    Image: world.imageId,
    Entrypoint: ['node', '-e', code],
    Labels: ownerLabels(runId, { ...world.owner, pid: 2 ** 30, startTime: '1' }),
    HostConfig: { NetworkMode: 'none', ...hostConfig },
  });
}

test('what an sjs that lives could not remove, its reaper removes', async () => {
  const runId = makeRunId();
  await (await createRun(runId, 'setInterval(() => {}, 1000)')).start();
  const reaper = startReaper(runId, false, 60_000, world.client.endpoint, {
    nodePath: process.execPath,
    reaperFile: join(world.folder, 'reaper.cjs'),
  });
  expect(await reapersOf(runId)).not.toEqual([]);
  reaper.remove();
  await until(async () => (await stateOf(sandboxName(runId))) === 'absent', 10_000);
  // It stays for what a call that was never answered may still make.
  const late = await createRun(runId, '');
  await until(async () => (await stateOf(late.id)) === 'absent', 10_000);
  await until(async () => (await reapersOf(runId)).length === 0, 25_000);
}, 60_000);

test('a log that cannot be read does not keep the container, and the outcome says that output is lost', async () => {
  const runId = makeRunId();
  const container = await createRun(runId, 'console.log("lost"); process.exit(3)', {
    LogConfig: { Type: 'none' },
  });
  await container.start();
  await container.wait();
  const { outcome, stdout } = await recover(runId, 20_000);
  expect(outcome).toMatchObject({
    end: 'exited',
    exitCode: 3,
    truncated: { stdout: true, stderr: true },
  });
  expect(stdout).toBe('');
}, 30_000);
