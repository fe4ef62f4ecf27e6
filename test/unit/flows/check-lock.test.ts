import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { createSjs, type Sjs } from '../../../src/index.js';
import { sha256 } from '../../../src/model/digest.js';
import { cleanFolders, makeFolder } from '../../support/world.js';

cleanFolders();

const integrity = `sha512-${'A'.repeat(86)}==`;
const entry = (version: string) => ({ version, integrity });
const lodash = { 'node_modules/lodash': `lodash@4.0.0 ${integrity}` };

let folder: string;
let sjs: Sjs;

beforeEach(async () => {
  folder = await makeFolder({});
  // Neither of them is there: who asks fails.
  const env = { HOME: folder, DOCKER_HOST: 'tcp://127.0.0.1:9', PATH: '/nonexistent' };
  sjs = createSjs({ env, home: join(folder, 'home') });
  await put('package.json', { dependencies: { lodash: '^4.0.0' } });
  await put('package-lock.json', {
    lockfileVersion: 3,
    packages: { '': { dependencies: { lodash: '^4.0.0' } }, 'node_modules/lodash': entry('4.0.0') },
  });
});

async function put(name: string, content: unknown): Promise<void> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await mkdir(join(folder, 'job'), { recursive: true });
  await writeFile(join(folder, 'job', name), text);
}

async function check(spec: string, packages: object | null, version = '24.2.0'): Promise<void> {
  await put(
    'sandbox.yaml',
    `apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: job }\nspec:\n  language: node\n  base: { image: r.example.com/base/node, version: ">=24" }\n  source: .\n  entrypoint: index.js\n${spec}`,
  );
  if (packages !== null) {
    await put('sandbox.lock', {
      lockVersion: 1,
      formatVersion: 1,
      base: {
        image: 'r.example.com/base/node',
        version,
        digest: sha256(version),
        manifests: { 'linux/amd64': sha256('amd64'), 'linux/arm64/v8': sha256('arm64') },
        signer: sha256('key'),
      },
      template: { name: 'node', digest: sha256('template') },
      packages,
    });
  }
  await sjs.checkLock(join(folder, 'job'));
}

const DEPENDENCIES = '  dependencies: { lockfile: package-lock.json }\n';

test('a lock that answers sandbox.yaml and the lockfile fits', async () => {
  await check('', {});
  await check(DEPENDENCIES, lodash);
});

test.each([
  ['no lock', '', null, undefined, 'is not there'],
  ['a base out of the range', '', {}, '22.1.0', 'is not of the base that '],
  ['dependencies that came since', DEPENDENCIES, {}, undefined, 'are not those of package-lock.json'],
  [
    'another version',
    DEPENDENCIES,
    { 'node_modules/lodash': `lodash@3.9.0 ${integrity}` },
    undefined,
    'are not those of package-lock.json',
  ],
  ['dependencies that went', '', lodash, undefined, 'are packages that nobody asks for'],
])('%s: says what does not fit', async (_, spec, packages, version, message) => {
  await expect(check(spec, packages, version)).rejects.toMatchObject({
    code: 'LOCK_OUTDATED',
    message: expect.stringContaining(message),
  });
});

test('of a package for one platform alone, either lock fits', async () => {
  await put('package.json', { optionalDependencies: { native: '1.0.0' } });
  await put('package-lock.json', {
    lockfileVersion: 3,
    packages: {
      '': { optionalDependencies: { native: '1.0.0' } },
      'node_modules/native': { ...entry('1.0.0'), optional: true, cpu: ['arm64'] },
    },
  });
  await check(DEPENDENCIES, {});
  await check(DEPENDENCIES, { 'node_modules/native': `native@1.0.0 ${integrity}` });
});
