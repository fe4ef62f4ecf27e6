import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunRecord } from '../../src/model/record.js';
import { startSecondEngine, type SecondEngine } from '../support/second-engine.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);

/** Fills a file system to its last byte; the file that does so. */
async function fill(folder: string): Promise<string> {
  const filler = join(folder, 'filler');
  await execute('sh', ['-c', `cat /dev/zero > '${filler}' 2>/dev/null || true`]);
  return filler;
}

const errorOf = (stdout: string): { code: string; message: string } =>
  (JSON.parse(stdout) as { error: { code: string; message: string } }).error;

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});

describe('the disk of the source', () => {
  let mount: string;
  beforeAll(async () => {
    mount = await makeFolder();
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mount]);
  });
  afterAll(() => execute('umount', ['-l', mount]));

  test('a lock that cannot be written is DISK_FULL, and no half of one stays', async () => {
    const source = await makeFolder({ 'sandbox.yaml': sandboxYaml('full-source'), 'index.js': '' });
    await execute('cp', ['-r', `${source}/.`, mount]);
    const filler = await fill(mount);
    const { code, stdout } = await runSjs(home, ['lock', mount, '--json']);
    expect(code).not.toBe(0);
    expect(errorOf(stdout)).toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining('sandbox.lock'),
    });
    expect((await execute('ls', [mount])).stdout).toBe('filler\nindex.js\nsandbox.yaml\n');
    await rm(filler);
    expect(await runSjs(home, ['lock', mount])).toMatchObject({ code: 0 });
  });
});

describe('the disk of the engine', () => {
  let engine: SecondEngine;
  let env: Record<string, string>;
  let source: string;
  let tag: string;
  const docker = async (...args: string[]): Promise<string> =>
    (await execute('docker', ['--host', engine.host, ...args])).stdout.trim();

  beforeAll(async () => {
    engine = await startSecondEngine({ imageStore: 'overlay2', diskMiB: 400 });
    env = { DOCKER_HOST: engine.host, SJS_HOME: join(await makeFolder(), 'sjs') };
    source = await makeFolder({
      'sandbox.yaml': sandboxYaml('full-engine'),
      'index.js': 'console.log("up")\n',
      'data.bin': 'x'.repeat(2 ** 20),
    });
    const built = await runSjs(home, ['build', source, '--json'], { env });
    expect(built).toMatchObject({ code: 0 });
    ({ tag } = JSON.parse(built.stdout) as { tag: string });
  });
  afterAll(() => engine?.stop());

  /** With the disk full the command fails and says why; nothing of it is left; with space again it succeeds. */
  async function failWhileFull(args: readonly string[], next: readonly string[] = args): Promise<void> {
    const images = (await docker('images', '-aq')).split('\n').sort();
    const filler = await fill(engine.data);
    try {
      const { code, stdout } = await runSjs(home, [...args, '--json'], { env });
      expect(code).not.toBe(0);
      expect(errorOf(stdout).message).toMatch(/no space left on device/);
    } finally {
      await rm(filler);
    }
    expect(await runSjs(home, ['prune'], { env })).toMatchObject({ code: 0 });
    expect(await docker('ps', '-aq')).toBe('');
    expect(await docker('volume', 'ls', '-q')).toBe('');
    expect((await docker('images', '-aq')).split('\n').sort()).toEqual(images);
    expect(await runSjs(home, next, { env })).toMatchObject({ code: 0 });
  }

  test('a run that the engine has no space for is failed, in its record too', async () => {
    await failWhileFull(['run', tag]);
    const { stdout } = await runSjs(home, ['runs', '--json'], { env });
    const records = JSON.parse(stdout) as RunRecord[];
    expect(records.map(({ state }) => state)).toEqual(['succeeded', 'failed']);
    expect(records[1]).toMatchObject({ exitCode: null, error: { code: 'ENGINE_FAILED' } });
  });

  test('a build that the engine has no space for is failed and seals nothing', async () => {
    await execute('sh', ['-c', `echo 'console.log(2)' > '${join(source, 'index.js')}'`]);
    await failWhileFull(['build', source]);
    const { stdout } = await runSjs(home, ['images', '--json'], { env });
    expect(JSON.parse(stdout)).toHaveLength(2);
  });
});
