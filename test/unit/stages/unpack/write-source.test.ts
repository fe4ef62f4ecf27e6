import { readdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { readSource } from '../../../../src/stages/unpack/read-source.js';
import { writeSource } from '../../../../src/stages/unpack/write-source.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

test.each(['.git', 'a/.GIT'])('a source with %s in it is not written: git would obey it', async (git) => {
  const openTar = (): Readable => {
    const tar = pack();
    for (const name of ['app', 'app/a', `app/${git}`]) tar.entry({ name, type: 'directory' });
    tar.entry({ name: `app/${git}/config` }, '[core]\n\tfsmonitor = true\n');
    tar.finalize();
    return tar as unknown as Readable;
  };
  const folder = await makeFolder();
  const folders = { app: folder, in: folder };
  await expect(writeSource(folders, await readSource(openTar()), openTar)).rejects.toMatchObject({
    code: 'SEAL_REFUSED',
  });
  expect(await readdir(folder)).toEqual([]);
});
