import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { createSjs } from '../../../src/index.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

test.each([
  ['is declared where there is one', true],
  ['stands as a comment where there is none', false],
])('package-lock.json %s', async (_, hasLockfile) => {
  const folder = await makeFolder();
  if (hasLockfile) await writeFile(join(folder, 'package-lock.json'), '{}');
  const sjs = createSjs({ env: { HOME: folder, PATH: '/nonexistent' }, home: join(folder, 'home') });
  await sjs.init(folder);
  const dependencies = hasLockfile ? { lockfile: 'package-lock.json', omit: ['dev'] } : null;
  expect((await sjs.validate(folder)).sandbox.dependencies).toEqual(dependencies);
  expect(await readFile(join(folder, 'sandbox.yaml'), 'utf8')).toContain('dependencies: {');
});
