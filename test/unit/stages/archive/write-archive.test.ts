import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, expect, test } from '@jest/globals';
import { findFilePlace, writeWholeFile } from '../../../../src/stages/archive/write-archive.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

let folder: string;
beforeEach(async () => {
  folder = await makeFolder({ there: 'old' });
});

const write = async (name: string, pieces: Iterable<string> | AsyncIterable<string>): Promise<void> =>
  writeWholeFile(Readable.from(pieces), await findFilePlace(join(folder, name)));

test('a file is new or replaced, and nothing else is left', async () => {
  await write('new', ['a', 'b']);
  await write('there', ['c']);
  expect(await readFile(join(folder, 'new'), 'utf8')).toBe('ab');
  expect(await readFile(join(folder, 'there'), 'utf8')).toBe('c');
  expect((await lstat(join(folder, 'new'))).mode & 0o777).toBe(0o600);
  expect((await readdir(folder)).sort()).toEqual(['new', 'there']);
});

test('no link that lies there leads to another file', async () => {
  for (const name of ['new', 'new.partial']) await symlink('there', join(folder, name));
  await writeWholeFile(Readable.from(['archive']), join(folder, 'new'));
  expect(await readFile(join(folder, 'there'), 'utf8')).toBe('old');
  expect(await readFile(join(folder, 'new'), 'utf8')).toBe('archive');
  expect((await readdir(folder)).sort()).toEqual(['new', 'new.partial', 'there']);
});

test('what cannot be written to its end leaves what was there', async () => {
  const failing = (async function* () {
    yield await Promise.resolve('half');
    throw new Error('cut');
  })();
  await expect(write('there', failing)).rejects.toMatchObject({ code: 'STORE_FAILED' });
  expect(await readFile(join(folder, 'there'), 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['there']);
});

test.each([
  ['folder', 'is a folder'],
  // As /dev/null is none, which must never be replaced.
  ['pipe', 'is no plain file'],
  ['link', 'is a link'],
  ['dangling', 'is a link'],
  ['none/x', 'is in no folder that is there'],
  ['there/x', 'is in no folder that is there'],
])('%s: it %s', async (name, why) => {
  await mkdir(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await symlink('there', join(folder, 'link'));
  await symlink('gone', join(folder, 'dangling'));
  const before = await readdir(folder);
  await expect(write(name, ['x'])).rejects.toMatchObject({
    code: 'USAGE',
    message: `${join(folder, name)} ${why}`,
  });
  expect(await readdir(folder)).toEqual(before);
  expect((await lstat(join(folder, 'pipe'))).isFIFO()).toBe(true);
  expect(await readFile(join(folder, 'there'), 'utf8')).toBe('old');
});
