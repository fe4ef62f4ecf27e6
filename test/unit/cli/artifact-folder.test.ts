import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { prepareArtifactFolder } from '../../../src/cli/artifact-folder.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

test('what git would obey is not written out', async () => {
  const folder = join(await makeFolder(), 'results');
  const write = await prepareArtifactFolder(folder);
  for (const path of ['.git/config', 'a/.GIT/config', '.git']) {
    await expect(write(path, Readable.from(['x']))).rejects.toMatchObject({ code: 'STORE_FAILED' });
  }
  await write('.gitignore', Readable.from(['x']));
  expect(await readdir(folder)).toEqual(['.gitignore']);
});
