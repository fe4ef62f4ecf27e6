import { appendFile, copyFile, chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createSjs, type CallOutcome, type CreatePoolOptions, type Pool, type Sjs } from '../../src/index.js';
import { docker } from '../support/docker.js';
import { cleanFolders, makeFolder, sandboxYaml, world } from '../support/world.js';

cleanFolders();

const code = (word: string): string => `
export const which = () => '${word}';
export const work = (ms) => new Promise((resolve) => setTimeout(() => resolve(ms), ms));
`;
const NAME = `renewed-${process.pid}`;

let folder: string;
let home: string;
let policyFile: string;
let sjs: Sjs;
let tag: string;
const tags: string[] = [];
const seal = async (): Promise<string> => {
  tags.push((await sjs.build(folder)).tag);
  return tags.at(-1) ?? '';
};
beforeAll(async () => {
  home = await makeFolder();
  policyFile = join(home, 'policy.yaml');
  await copyFile(world.policyFile, policyFile);
  await chmod(policyFile, 0o600);
  const resources = '  resources: { memory: 128Mi, timeout: 10s }\n';
  folder = await makeFolder({ 'sandbox.yaml': sandboxYaml(NAME, resources), 'index.js': code('first') });
  const env = { PATH: process.env['PATH'], HOME: home, DOCKER_HOST: process.env['DOCKER_HOST'] };
  sjs = createSjs({ env, home: join(home, 'sjs'), policyFile });
  tag = await seal();
}, 120_000);
afterAll(() => void docker(['image', 'rm', '-f', ...tags]));

const containers = (): string =>
  docker(['ps', '-aq', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`]);

async function withPool(options: Partial<CreatePoolOptions>, use: (pool: Pool) => Promise<void>) {
  const pool = await sjs.createPool({ target: tag, size: 1, max: 2, queueTimeoutMs: 60_000, ...options });
  try {
    await pool.ready();
    await use(pool);
  } finally {
    await pool.close();
  }
  expect(containers()).toBe('');
}
const valueOf = (result: CallOutcome): unknown => (result.outcome === 'result' ? result.value : result);
/** Another policy by its bytes, which allows the same. */
const editPolicy = (): Promise<void> => appendFile(policyFile, '# seen again\n');

test(
  'of another image every call is refused, one after the other and at once, until it is the sealed one again',
  () =>
    withPool({}, async (pool) => {
      const id = docker(['image', 'inspect', '-f', '{{.Id}}', tag]);
      const other = docker(['build', '-q', '-'], { input: `FROM ${tag}\nENV OTHER=1\n` });
      const refused = { status: 'rejected', reason: { code: 'SEAL_MISMATCH' } };
      try {
        docker(['tag', other, tag]);
        for (let round = 0; round < 3; round += 1) {
          const calls = await Promise.allSettled(Array.from({ length: 3 }, () => pool.call('which')));
          expect(calls).toMatchObject([refused, refused, refused]);
        }
      } finally {
        docker(['tag', id, tag]);
        docker(['image', 'rm', '-f', other]);
      }
      expect(valueOf(await pool.call('which'))).toBe('first');
    }),
  120_000,
);

test(
  'a call may have less than its pool, and not more',
  () =>
    withPool({ limits: { timeoutMs: 5000, memoryBytes: 100 * 1024 ** 2 } }, async (pool) => {
      const more = { code: 'RIGHTS_WIDENED' };
      await expect(pool.call('which', [], { limits: { timeoutMs: 6000 } })).rejects.toMatchObject(more);
      await expect(
        pool.call('which', [], { limits: { memoryBytes: 128 * 1024 ** 2 } }),
      ).rejects.toMatchObject(more);
      const { record } = await pool.call('which', [], { limits: { timeoutMs: 4000 } });
      expect(record).toMatchObject({ state: 'succeeded', limits: { timeoutMs: 4000 } });
    }),
  120_000,
);

test('a pool opened by a name stays with its seal when it begins anew', async () => {
  await withPool({ target: NAME }, async (pool) => {
    await writeFile(join(folder, 'index.js'), code('second'));
    await seal();
    await editPolicy();
    const result = await pool.call('which');
    expect([valueOf(result), result.record.tag, pool.tag]).toEqual(['first', tag, tag]);
  });
  await withPool({ target: NAME }, async (pool) => expect(valueOf(await pool.call('which'))).toBe('second'));
}, 120_000);

test(
  'calls that wait while the policy changes are answered under the new one',
  () =>
    withPool({ max: 1 }, async (pool) => {
      const calls: ReturnType<Pool['call']>[] = [];
      await new Promise<void>((resolve) => {
        calls.push(pool.call('work', [200], { onStarted: () => resolve() }));
        for (let more = 0; more < 3; more += 1) calls.push(pool.call('work', [200]));
      });
      await editPolicy();
      const late = pool.call('work', [200]);
      const results = await Promise.all([...calls, late]);
      expect(results.map(valueOf)).toEqual([200, 200, 200, 200, 200]);
      const digests = results.map(({ record }) => record.policyDigest);
      expect(digests[0]).not.toBe(digests[4]);
    }),
  120_000,
);

test('a pool that is closed while it begins anew leaves nothing, and takes no call', async () => {
  const pool = await sjs.createPool({ target: tag, size: 2, max: 2 });
  await pool.ready();
  await editPolicy();
  const calls = [pool.call('which'), pool.call('which', [], { limits: { memoryBytes: 64 * 1024 ** 2 } })];
  const settled = Promise.allSettled(calls);
  await pool.close();
  for (const one of await settled) {
    if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'POOL_CLOSED' });
    else expect(one.value.outcome).toBe('result');
  }
  await expect(pool.call('which')).rejects.toMatchObject({ code: 'POOL_CLOSED' });
  await expect(pool.call('which', [], { limits: { memoryBytes: 64 * 1024 ** 2 } })).rejects.toMatchObject({
    code: 'POOL_CLOSED',
  });
  expect(containers()).toBe('');
}, 120_000);
