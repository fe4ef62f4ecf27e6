import { lstat, lutimes, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { HomeFolder } from '../../../../src/adapters/store/home-folder.js';
import { createTempName } from '../../../../src/adapters/store/temp-name.js';
import { hexOf, sha256 } from '../../../../src/model/digest.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';
import { until } from '../../../support/until.js';

cleanFolders();

const HOUR_MS = 3_600_000;
let home: HomeFolder;
let lock: string;
beforeEach(async () => {
  home = new HomeFolder(await makeFolder());
  lock = join(await home.makeFolder('images'), 'x.lock');
});
afterEach(() => void jest.useRealTimers());

/** A name as of this machine, of a process that is not there. */
const deadName = async (): Promise<string> => (await createTempName()).replace(/-\d+-\d+-/, '-4194305-1-');

/** A lock that nobody has renewed for an hour. */
const makeOld = async (holder: string): Promise<void> => {
  await symlink(holder, lock);
  const old = new Date(Date.now() - HOUR_MS);
  await lutimes(lock, old, old);
};

test('names of temporary files that are asked for at the same time differ', async () => {
  const names = await Promise.all(Array.from({ length: 100 }, createTempName));
  expect(new Set(names).size).toBe(100);
});

test('a file that is put is there at once; one that cannot be leaves nothing, and says so', async () => {
  const { durable } = await home.put('things', 'one', 'whole', 'soon');
  expect(await home.read('things', 'one')).toEqual(Buffer.from('whole'));
  await home.makeFolder('things', 'two');
  await expect(home.put('things', 'two', 'x', 'now')).rejects.toMatchObject({ code: 'STORE_FAILED' });
  expect(await readdir(home.at('tmp'))).toEqual([]);
  await durable;
});

describe('a lock that nobody holds any more', () => {
  test.each<[string, () => Promise<void>]>([
    ['its process is dead', async () => symlink(await deadName(), lock)],
    ['its machine is another, and it is old', () => makeOld('000000000000-1-1-0123456789ab')],
  ])('%s: of many that wait for it one has it at a time', async (_what, leave) => {
    let [held, most, works] = [0, 0, 0];
    for (let round = 0; round < 5; round += 1) {
      await leave();
      const work = async (): Promise<void> => {
        most = Math.max(most, (held += 1));
        works += 1;
        await delay(2);
        held -= 1;
      };
      await Promise.all(Array.from({ length: 8 }, () => home.withLock('images', 'x.lock', work)));
    }
    expect({ most, works }).toEqual({ most: 1, works: 40 });
    expect(await readdir(home.at('images'))).toEqual([]);
  });

  test('is taken away too when whoever was to take it away died at that', async () => {
    const holder = await deadName();
    await symlink(holder, lock);
    await symlink(await deadName(), home.at('images', `${hexOf(sha256(holder))}.gone`));
    await expect(home.withLock('images', 'x.lock', () => Promise.resolve('done'))).resolves.toBe('done');
    expect(await readdir(home.at('images'))).toEqual([]);
  });
});

test('a lock that somebody else has got is left to them at the end', async () => {
  const other = '000000000000-1-1-0123456789ab';
  await home.withLock('images', 'x.lock', async () => {
    await rm(lock);
    await symlink(other, lock);
  });
  expect(await readlink(lock)).toBe(other);
});

test('a lock stays young as long as somebody holds it, so that no other machine takes it for left', async () => {
  jest.useFakeTimers({
    doNotFake: ['Date', 'setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'nextTick'],
  });
  await home.withLock('images', 'x.lock', async () => {
    const old = new Date(Date.now() - HOUR_MS);
    await lutimes(lock, old, old);
    jest.advanceTimersByTime(10_000);
    await until('the lock is young', async () => (await lstat(lock)).mtimeMs > Date.now() - HOUR_MS / 2);
  });
  expect(jest.getTimerCount()).toBe(0);
});
