import { readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { writeWholeFile } from '../../../../src/stages/archive/write-archive.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

test('no link that lies there leads to another file', async () => {
  const folder = await makeFolder({ victim: 'kept' });
  const file = join(folder, 'job.tar');
  for (const name of ['job.tar', 'job.tar.partial']) await symlink('victim', join(folder, name));
  await writeWholeFile(Readable.from(['archive']), file);
  expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('kept');
  expect(await readFile(file, 'utf8')).toBe('archive');
  expect((await readdir(folder)).sort()).toEqual(['job.tar', 'job.tar.partial', 'victim']);
});
