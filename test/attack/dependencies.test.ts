import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { PACKAGE_LIMITS } from '../../src/model/locked-package.js';
import { attack } from '../support/attack.js';
import { makeBomb } from '../support/bomb.js';
import { removeImages } from '../support/docker.js';
import {
  integrityOf,
  makePackage,
  startRegistry,
  writeLock,
  type TestRegistry,
} from '../support/package-registry.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml } from '../support/world.js';

const execute = promisify(execFile);
cleanFolders();
const images = removeImages();
let server: TestRegistry;
let other: TestRegistry;
let home: string;
let env: Record<string, string>;
beforeAll(async () => {
  [server, other] = await Promise.all([startRegistry(), startRegistry()]);
  home = await makeFolder();
  env = { NPM_CONFIG_REGISTRY: `${server.url}/`, NPM_CONFIG_FETCH_RETRIES: '0', NPM_CONFIG_AUDIT: 'false' };
});
afterAll(() => Promise.all([server.close(), other.close()]));

const makeJob = (files: Readonly<Record<string, string>>, program = "require('a')"): Promise<string> =>
  makeFolder({ 'sandbox.yaml': sandboxYaml('laid', '  dependencies: {}\n'), 'index.js': program, ...files });

async function refuse(files: Readonly<Record<string, string>>, code: string): Promise<void> {
  const result = await runSjs(home, ['build', await makeJob(files), '--json'], { env });
  const { error } = JSON.parse(result.stdout) as { error: { code: string } };
  expect(error.code).toBe(code);
}

const npm = async (verb: string, files: Readonly<Record<string, string>>): Promise<string> => {
  const folder = await makeFolder(files);
  const path = { PATH: process.env['PATH'] ?? '', HOME: home };
  await execute('npm', [verb, '--no-fund'], { cwd: folder, env: { ...path, ...env }, timeout: 60_000 });
  return folder;
};
const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const withScript = async (canary: string) => {
  const manifest = { scripts: { postinstall: `touch ${canary}` } };
  const entry = server.add(
    'a',
    '1.0.0',
    await makePackage('a', '1.0.0', { 'index.js': 'console.log(1)' }, manifest),
  );
  return writeLock(
    { a: '1.0.0' },
    { 'node_modules/a': { ...entry, hasInstallScript: true } },
    { allowScripts: { a: false } },
  );
};
/** The lockfile says nothing of it. */
const withUntoldScript = async (canary: string) => {
  const manifest = { scripts: { postinstall: `touch ${canary}` } };
  const entry = server.add('b', '1.0.0', await makePackage('b', '1.0.0', {}, manifest));
  return writeLock({ b: '1.0.0' }, { 'node_modules/b': entry });
};
attack(
  'D01',
  async () => {
    const canary = join(await makeFolder(), 'canary');
    const files = await withScript(canary);
    await refuse(
      { ...files, 'package.json': JSON.stringify({ dependencies: { a: '1.0.0' } }) },
      'LOCKFILE_INVALID',
    );
    const built = await runSjs(home, ['build', await makeJob(files)], { env });
    expect([built.code, built.stderr.includes('no install script is run')]).toEqual([0, true]);
    const tag = built.stdout.trim();
    images.add(tag);
    expect(await runSjs(home, ['run', tag])).toMatchObject({ code: 0, stdout: '1\n' });
    expect(await isThere(canary)).toBe(false);
    await refuse(await withUntoldScript(canary), 'PACKAGE_MISMATCH');
    expect(await isThere(canary)).toBe(false);
    return 'refused, also when the lockfile hides it, until package.json says that it works without; laid in, it never ran';
  },
  async () => {
    const canary = join(await makeFolder(), 'canary');
    const files = await withScript(canary);
    await npm('ci', { ...files, 'package.json': JSON.stringify({ dependencies: { a: '1.0.0' } }) });
    expect(await isThere(canary)).toBe(true);
    return 'npm ci runs it';
  },
);

const lockFrom = async (resolved: string) => {
  const entry = other.add('a', '1.0.0', await makePackage('a', '1.0.0'));
  return writeLock({ a: '1.0.0' }, { 'node_modules/a': { ...entry, resolved } });
};
attack(
  'D02',
  async () => {
    const places = [`${other.url}/a/-/a-1.0.0.tgz`, 'git+ssh://git@127.0.0.1/a.git', 'file:../../a.tgz'];
    for (const resolved of places) await refuse(await lockFrom(resolved), 'LOCKFILE_INVALID');
    expect(other.seen).toEqual([]);
    return 'LOCKFILE_INVALID for each, and nobody was asked';
  },
  async () => {
    await npm('ci', await lockFrom(`${other.url}/a/-/a-1.0.0.tgz`));
    expect(other.seen).toContain('/a/-/a-1.0.0.tgz');
    return 'npm ci fetches it from there';
  },
);

attack(
  'D03',
  async () => {
    const good = await makePackage('a', '1.0.0');
    const lock = (entry: object) =>
      writeLock({ a: '1.0.0' }, { 'node_modules/a': { version: '1.0.0', ...entry } });
    server.add('a', '1.0.0', await makePackage('a', '1.0.0', { 'evil.js': '' }));
    await refuse(lock({ integrity: integrityOf(good) }), 'PACKAGE_MISMATCH');
    await refuse(lock({}), 'LOCKFILE_INVALID');
    await refuse(lock({ integrity: `sha1-${'A'.repeat(27)}=` }), 'LOCKFILE_INVALID');
    const { integrity } = server.add('a', '1.0.0', await makePackage('evil', '1.0.0'));
    await refuse(lock({ integrity }), 'PACKAGE_MISMATCH');
    return 'PACKAGE_MISMATCH for other bytes and another package, LOCKFILE_INVALID without a strong integrity';
  },
  async () => {
    server.add('a', '1.0.0', await makePackage('a', '1.0.0', { 'evil.js': '' }));
    const resolved = `${server.url}/a/-/a-1.0.0.tgz`;
    const folder = await npm(
      'ci',
      writeLock({ a: '1.0.0' }, { 'node_modules/a': { version: '1.0.0', resolved } }),
    );
    expect(await isThere(join(folder, 'node_modules/a/evil.js'))).toBe(true);
    return 'npm ci installs what the registry has now';
  },
);

attack(
  'D04',
  async () => {
    const entry = server.add('a', '1.0.0', await makePackage('a', '1.0.0'));
    const files = writeLock({ a: '1.0.0' }, { 'node_modules/a': entry });
    const more = JSON.stringify({ name: 'job', dependencies: { a: '1.0.0', b: '1.0.0' } });
    await refuse({ ...files, 'package.json': more }, 'LOCKFILE_MISMATCH');
    await refuse({ 'package.json': more }, 'FILE_NOT_FOUND');
    return 'LOCKFILE_MISMATCH; without a lockfile FILE_NOT_FOUND';
  },
  async () => {
    const entry = server.add('a', '1.0.0', await makePackage('a', '1.0.0'));
    const b = await makePackage('b', '1.0.0');
    const { integrity } = server.add('b', '1.0.0', b);
    const dist = { integrity, tarball: `${server.url}/b/-/b-1.0.0.tgz` };
    const packument = {
      name: 'b',
      'dist-tags': { latest: '1.0.0' },
      versions: { '1.0.0': { name: 'b', version: '1.0.0', dist } },
    };
    server.tarballs.set('/b', Buffer.from(JSON.stringify(packument)));
    const files = writeLock({ a: '1.0.0' }, { 'node_modules/a': entry });
    const more = JSON.stringify({ name: 'job', dependencies: { a: '1.0.0', b: '1.0.0' } });
    const folder = await npm('install', { ...files, 'package.json': more });
    expect(await isThere(join(folder, 'node_modules/b/package.json'))).toBe(true);
    return 'npm install resolves and installs it';
  },
);

const makeTarball = (): Buffer => makeBomb('package/big', PACKAGE_LIMITS.bytes).archive;
attack(
  'D13',
  async () => {
    const entry = server.add('a', '1.0.0', makeTarball());
    await refuse(writeLock({ a: '1.0.0' }, { 'node_modules/a': entry }), 'PACKAGE_TOO_LARGE');
    const left = await readdir(join(home, 'sjs/packages'), { recursive: true });
    expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([]);
    return 'PACKAGE_TOO_LARGE; nothing was unpacked on this machine';
  },
  async () => {
    let bytes = 0;
    const unzipped = Readable.from([makeTarball()]).pipe(createGunzip());
    for await (const chunk of unzipped as AsyncIterable<Uint8Array>) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(PACKAGE_LIMITS.bytes);
    return 'gunzip goes on to its end';
  },
);
