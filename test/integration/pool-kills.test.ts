import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDockerClient } from '../../src/adapters/docker/client.js';
import { createSjs } from '../../src/sjs.js';
import { docker } from '../support/docker.js';
import { proxyEngine } from '../support/engine-proxy.js';
import { sealFunctions, type Callable } from '../support/pool.js';
import { until } from '../support/until.js';
import { cleanFolders, runSjs, world } from '../support/world.js';

cleanFolders();

/** `SJS_KILLS=500` tries as many. */
const KILLS = Number(process.env['SJS_KILLS'] ?? 24);
const AT_ONCE = 4;
/** Half are killed so soon after their start, the others so soon after their first call. */
const LONGEST_MS = 2_000;

let sealed: Callable;
const socket = (): string => join(sealed.home, 'docker.sock');
beforeAll(async () => {
  sealed = await sealFunctions(
    'export const work = (ms) => new Promise((resolve) => setTimeout(() => resolve(ms), ms));\n',
    '  resources: { memory: 128Mi, timeout: 5s }\n',
  );
  await symlink('/var/run/docker.sock', socket());
}, 120_000);
afterAll(() => sealed.remove());

/** Reapers of these processes that have not ended: they call the engine by a name of their own. */
async function reapers(): Promise<number> {
  const ids = await readdir('/proc');
  const lines = await Promise.all(
    ids.filter((id) => /^\d+$/.test(id)).map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.includes('reaper.cjs') && line.includes(socket())).length;
}

const startHost = (...words: string[]) =>
  spawn(process.execPath, ['test/support/pool-child.mjs', sealed.tag, ...words], {
    env: {
      PATH: process.env['PATH'],
      HOME: sealed.home,
      SJS_HOME: sealed.sjs.home,
      SJS_POLICY: world.policyFile,
      DOCKER_HOST: `unix://${socket()}`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });

async function killOne(afterMs: number, hasCalled: boolean): Promise<string> {
  const child = startHost();
  let said = '';
  child.stdout.on('data', (chunk) => (said += String(chunk)));
  if (hasCalled) await until('it has made a call', () => Promise.resolve(said.includes('.')));
  await delay(afterMs);
  child.kill('SIGKILL');
  await once(child, 'close');
  return said;
}

test(`${KILLS} host processes of pools, killed at random moments, leave nothing behind`, async () => {
  let calls = 0;
  let left = KILLS;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while ((left -= 1) >= 0) {
        const said = await killOne(Math.random() * LONGEST_MS, left % 2 === 0);
        expect(said).toMatch(/^(?:opened\n\.*)?$/);
        calls += said.replace('opened\n', '').length;
      }
    }),
  );
  // What nobody had claimed goes by itself; what had a call ends within its limit, and the next command reads it.
  let said = '';
  const isLeft = async (): Promise<boolean> => (await reapers()) > 0 || sealed.containers().length > 0;
  for (const deadline = Date.now() + 60_000; Date.now() < deadline && (await isLeft());) {
    await delay(500);
    said = (await runSjs(sealed.home, ['runs'])).stderr;
  }
  const remaining = sealed
    .containers()
    .map((id) => docker(['inspect', '-f', '{{json .State}} {{.Name}}', id]));
  expect({ remaining, ...(remaining.length > 0 && { said }) }).toEqual({ remaining: [] });
  const records = await sealed.sjs.listRuns();
  expect(records.length).toBeGreaterThanOrEqual(calls);
  expect(records.filter(({ state }) => state === 'created' || state === 'running')).toEqual([]);
  expect(records.filter(({ state }) => state === 'succeeded').length).toBeGreaterThanOrEqual(calls);
  expect(calls).toBeGreaterThan(0);
  expect(await readdir(join(sealed.sjs.home, 'open'))).toEqual([]);
  expect(await reapers()).toBe(0);
}, 3_600_000);

test('a host that is killed with its answer leaves no container, though nobody runs sjs again', async () => {
  const child = startHost('once');
  await once(child, 'close');
  expect(child.signalCode).toBe('SIGKILL');
  const [record] = await sealed.sjs.listRecords({ limit: 1 });
  expect(record).toMatchObject({ state: 'succeeded', member: expect.any(String) });
  await until('nothing is left', () => Promise.resolve(sealed.containers().length === 0));
}, 120_000);

test('a container that the engine made, and the pool never heard of, is removed', async () => {
  const client = await createDockerClient({ env: process.env, home: sealed.home });
  const proxy = await proxyEngine(client, /^POST \/containers\/create/, 'break off');
  const env = { PATH: process.env['PATH'], HOME: sealed.home, DOCKER_HOST: proxy.host };
  const sjs = createSjs({ env, home: sealed.sjs.home, policyFile: world.policyFile });
  const pool = await sjs.createPool({ target: sealed.tag, size: 1, max: 1 });
  try {
    await expect(pool.ready()).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
    expect(proxy.count()).toBe(1);
  } finally {
    await pool.close();
  }
  for (const deadline = Date.now() + 30_000; sealed.containers().length > 0 && Date.now() < deadline;)
    await delay(250);
  expect(sealed.containers()).toEqual([]);
  proxy.close();
}, 120_000);
