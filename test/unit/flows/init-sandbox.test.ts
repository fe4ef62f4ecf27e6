import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { createSjs } from '../../../src/index.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

const init = async (folder: string): Promise<string> => {
  const root = await makeFolder();
  const sjs = createSjs({ env: { HOME: root, PATH: '/nonexistent' }, home: join(root, 'home') });
  await sjs.init(folder);
  await sjs.validate(folder);
  return readFile(join(folder, 'sandbox.yaml'), 'utf8');
};

test('names no place of this machine: the schema only where a project has sjs among its packages, by a relative path', async () => {
  const alone = await makeFolder();
  const text = await init(join(alone, 'my-job'));
  expect(text).not.toContain('$schema');
  for (const place of [alone, process.cwd()]) expect(text).not.toContain(place);

  const project = await makeFolder({
    'package.json': '{}',
    'node_modules/sjs/schemas/sandbox.schema.json': '{}',
    'jobs/other/package.json': '{}',
  });
  for (const folder of ['.', 'jobs/new', 'jobs/other']) {
    const [first = ''] = (await init(join(project, folder))).split('\n');
    const [, path = ''] = /^# yaml-language-server: \$schema=(\.[./\w-]*)$/.exec(first) ?? [];
    expect(resolve(project, folder, path)).toBe(
      join(project, 'node_modules/sjs/schemas/sandbox.schema.json'),
    );
  }
});

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
