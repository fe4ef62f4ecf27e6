import { readFile } from 'node:fs/promises';
import { beforeEach, expect, test } from '@jest/globals';
import { checkLock, type CheckLockTools } from '../../../src/flows/check-lock.js';
import { sha256 } from '../../../src/model/digest.js';
import type { Lock } from '../../../src/model/lock.js';
import type { Policy } from '../../../src/model/policy.js';
import { silentReporter } from '../../../src/ports/reporter.js';
import { loadSandbox } from '../../../src/stages/load/load-sandbox.js';
import { writeLock as writeSandboxLock } from '../../../src/stages/lock/lock-file.js';
import { writeLock } from '../../support/package-registry.js';
import { cleanFolders, makeFolder, sandboxYaml } from '../../support/world.js';

cleanFolders();
const INTEGRITY = `sha512-${'A'.repeat(86)}==`;
const IMAGE = 'r.example.com/base/node';
const BASE = `  base: { image: ${IMAGE}, digest: "${sha256('index')}" }\n`;

/** No registry is asked anything but whose an address is. */
const tools = {
  loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
  seccompProfile: () => Promise.resolve('{}'),
  reporter: silentReporter,
  packages: () => Promise.resolve({ addresses: () => Promise.resolve(() => true) }),
} as unknown as CheckLockTools;

const A = `a@1.0.0 ${INTEGRITY}`;
const FITS = { 'node_modules/a': A, 'node_modules/for-arm': A.replace('a@', 'for-arm@') };
const LOCKFILE = writeLock(
  { a: '^1.0.0' },
  {
    'node_modules/a': {
      version: '1.0.0',
      integrity: INTEGRITY,
      optionalDependencies: { 'for-arm': '1.0.0', 'for-x64': '1.0.0' },
    },
    'node_modules/for-arm': { version: '1.0.0', integrity: INTEGRITY, cpu: ['arm64'] },
    'node_modules/for-x64': { version: '1.0.0', integrity: INTEGRITY, cpu: ['x64'] },
  },
);

let folder: string;
const check = async (packages: Lock['packages'], platforms = ['linux/arm64']): Promise<void> => {
  const manifests = Object.fromEntries(platforms.map((name) => [name, sha256(name)]));
  await writeSandboxLock(folder, {
    lockVersion: 1,
    formatVersion: 1,
    base: { image: IMAGE, version: '24.2.0', digest: sha256('index'), manifests, signer: sha256('key') },
    template: { name: 'node', digest: sha256('template') },
    packages,
  });
  return checkLock(await loadSandbox(folder), tools);
};
beforeEach(async () => {
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('job', `${BASE}  dependencies: {}\n`),
    'index.js': '',
    ...LOCKFILE,
  });
});

test('a lock with the packages of the lockfile fits, on whichever of its platforms it was made', async () => {
  await expect(check(FITS)).resolves.toBeUndefined();
  await expect(check(FITS, ['linux/amd64', 'linux/arm64'])).resolves.toBeUndefined();
});

test.each<[string, Lock['packages'], string]>([
  ['a package is missing', { 'node_modules/a': A }, 'node_modules/for-arm'],
  ['one is too many', { ...FITS, 'node_modules/b': A.replace('a@', 'b@') }, 'node_modules/b'],
  ['one has another version', { ...FITS, 'node_modules/a': A.replace('1.0.0', '1.0.1') }, 'node_modules/a'],
  ['one has other bytes', { ...FITS, 'node_modules/a': A.replace('AAA', 'BBB') }, 'node_modules/a'],
  ['none is there', {}, 'node_modules/a, node_modules/for-arm'],
])('it does not fit when %s', async (_what, packages, places) => {
  await expect(check(packages)).rejects.toMatchObject({
    code: 'LOCK_OUTDATED',
    message: expect.stringMatching(new RegExp(`are not those of package-lock.json: ${places}$`)),
  });
});

test('it does not fit what is for another platform, or another base', async () => {
  await expect(check(FITS, ['linux/amd64'])).rejects.toMatchObject({ code: 'LOCK_OUTDATED' });
  const text = await readFile(`${folder}/sandbox.yaml`, 'utf8');
  folder = await makeFolder({
    'sandbox.yaml': text.replace(sha256('index'), sha256('other')),
    'index.js': '',
    ...LOCKFILE,
  });
  await expect(check(FITS)).rejects.toMatchObject({ message: expect.stringContaining('not of the base') });
});

test('a platform of the lock that the lockfile does not do for is passed over, when another fits', async () => {
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('job', `${BASE}  dependencies: {}\n`),
    'index.js': '',
    ...writeLock(
      { a: '^1.0.0' },
      { 'node_modules/a': { version: '1.0.0', integrity: INTEGRITY, cpu: ['arm64'] } },
    ),
  });
  const packages = { 'node_modules/a': A };
  await expect(check(packages, ['linux/amd64', 'linux/arm64'])).resolves.toBeUndefined();
  await expect(check({}, ['linux/amd64', 'linux/arm64'])).rejects.toMatchObject({ code: 'LOCK_OUTDATED' });
  await expect(check(packages, ['linux/amd64'])).rejects.toMatchObject({
    code: expect.stringMatching(/^LOCKFILE_/),
  });
});

test('of many that differ a few are named', async () => {
  const many = Array.from({ length: 20 }, (_, index) => [
    `node_modules/b${index}`,
    A.replace('a@', `b${index}@`),
  ]);
  await expect(check({ ...FITS, ...(Object.fromEntries(many) as Lock['packages']) })).rejects.toMatchObject({
    message: expect.stringContaining('and 15 more'),
  });
});

test('packages that sandbox.yaml does not ask for any more are too many', async () => {
  folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('job', BASE), 'index.js': '' });
  await expect(check({})).resolves.toBeUndefined();
  await expect(check(FITS)).rejects.toMatchObject({
    code: 'LOCK_OUTDATED',
    message: expect.stringContaining('packages that nobody asks for: node_modules/a'),
  });
});

test('no lock is said to be none', async () => {
  await expect(checkLock(await loadSandbox(folder), tools)).rejects.toMatchObject({
    code: 'LOCK_OUTDATED',
    message: expect.stringMatching(/sandbox\.lock is not there$/),
  });
});

test('a lockfile that no build would take is said to be one', async () => {
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('job', `${BASE}  dependencies: {}\n`),
    'index.js': '',
    ...LOCKFILE,
    'package.json': '{ "dependencies": { "a": "^2.0.0" } }',
  });
  await expect(check(FITS)).rejects.toMatchObject({ code: 'LOCKFILE_MISMATCH' });
});
