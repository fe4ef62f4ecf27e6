import { execFile } from 'node:child_process';
import { lstat, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { writeWholeFile } from '../../../../src/stages/archive/write-archive.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const content = (): Readable => Readable.from([Buffer.from('new')]);

test('a plain file is replaced, and readable by its owner alone', async () => {
  const folder = await makeFolder({ 'job.tar': 'old' });
  await writeWholeFile(content(), join(folder, 'job.tar'), 'word');
  expect(await readFile(join(folder, 'job.tar'), 'utf8')).toBe('new');
  expect((await lstat(join(folder, 'job.tar'))).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['job.tar']);
});

test('what others put under the name of the unfinished file is not written through', async () => {
  const folder = await makeFolder({ victim: 'old' });
  for (const name of ['job.tar.partial', 'job.tar.word.partial']) {
    await symlink(join(folder, 'victim'), join(folder, name));
  }
  await expect(writeWholeFile(content(), join(folder, 'job.tar'), 'word')).rejects.toMatchObject({
    code: 'STORE_FAILED',
  });
  await writeWholeFile(content(), join(folder, 'job.tar'), 'other');
  expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('old');
  expect(await readlink(join(folder, 'job.tar.word.partial'))).toBe(join(folder, 'victim'));
  expect(await readFile(join(folder, 'job.tar'), 'utf8')).toBe('new');
});

test('a link, a pipe or a folder is not replaced', async () => {
  const folder = await makeFolder({ victim: 'old', 'folder/file': '' });
  await symlink(join(folder, 'victim'), join(folder, 'link'));
  await promisify(execFile)('mkfifo', [join(folder, 'pipe')]);
  const before = (await readdir(folder)).sort();
  for (const name of ['link', 'pipe', 'folder']) {
    await expect(writeWholeFile(content(), join(folder, name), 'word')).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: `${join(folder, name)} is there and is no plain file`,
    });
  }
  expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true);
  expect((await lstat(join(folder, 'pipe'))).isFIFO()).toBe(true);
  expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('old');
  expect((await readdir(folder)).sort()).toEqual(before);
});

test('a stream that fails leaves the file as it was, and nothing beside it', async () => {
  const folder = await makeFolder();
  await writeFile(join(folder, 'job.tar'), 'old');
  const failing = Readable.from(
    (async function* () {
      yield await Promise.resolve(Buffer.from('new'));
      throw new Error('no more');
    })(),
  );
  await expect(writeWholeFile(failing, join(folder, 'job.tar'), 'word')).rejects.toMatchObject({
    code: 'STORE_FAILED',
  });
  expect(await readdir(folder)).toEqual(['job.tar']);
  expect(await readFile(join(folder, 'job.tar'), 'utf8')).toBe('old');
});
