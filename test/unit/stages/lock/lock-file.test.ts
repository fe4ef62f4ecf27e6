import { readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { PACKAGE_LIMITS } from '../../../../src/model/locked-package.js';
import { sha256 } from '../../../../src/model/digest.js';
import { parseLockLine, type Lock } from '../../../../src/model/lock.js';
import { formatLockLines, type PackageList } from '../../../../src/model/package-list.js';
import { compareLocks, readLock, writeLock } from '../../../../src/stages/lock/lock-file.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const LINE = `accepts@1.3.8 sha512-${'A'.repeat(86)}==`;

const lock: Lock = {
  lockVersion: 1,
  formatVersion: 1,
  base: {
    image: 'r.example.com:5000/base/node',
    version: '24.2.0',
    digest: sha256('index'),
    manifests: { 'linux/amd64': sha256('amd64'), 'linux/arm/v7': sha256('arm') },
    signer: sha256('key'),
  },
  template: { name: 'node', digest: sha256('template') },
  packages: { 'node_modules/accepts': LINE, 'node_modules/a/node_modules/@s/accepts': `@s/${LINE}` },
};

let folder: string;
beforeEach(async () => {
  folder = await makeFolder({});
});

const read = async (text: string): Promise<Lock | null> => {
  await writeFile(join(folder, 'sandbox.lock'), text);
  return readLock(folder);
};

describe('what is written', () => {
  test('is read again, a line each fact', async () => {
    await writeLock(folder, lock);
    expect(await readLock(folder)).toEqual(lock);
    const text = await readFile(join(folder, 'sandbox.lock'), 'utf8');
    expect(text.split('\n').filter((line) => line.includes('sha512-'))).toEqual([
      `    "node_modules/accepts": "${LINE}",`,
      `    "node_modules/a/node_modules/@s/accepts": "@s/${LINE}"`,
    ]);
    expect(text).toMatch(/\}\n$/);
  });

  test('says of each package what the list of packages does', () => {
    const packages: PackageList = [
      {
        location: 'node_modules/a',
        name: 'a',
        version: '1.0.0-rc.1',
        integrity: LINE.slice(14),
        bundledIn: null,
      },
      {
        location: 'node_modules/a/node_modules/@s/b',
        name: '@s/b',
        version: '2.0.0',
        integrity: null,
        bundledIn: 'node_modules/a',
      },
    ];
    const lines = Object.entries(formatLockLines(packages));
    expect(lines.map(([location, line]) => parseLockLine(location, line))).toEqual(packages);
    expect(parseLockLine('b', lines[0]?.[1])).toBeNull();
  });
});

test('a lock from before there were packages reads as one without, and is not changed by that', async () => {
  const old = await read(JSON.stringify({ ...lock, packages: [] }));
  expect(old).toEqual({ ...lock, packages: {} });
  expect(compareLocks(old, { ...lock, packages: {} })).toEqual([]);
});

test('what changes is named, a package by its location', () => {
  const next = {
    ...lock,
    base: { ...lock.base, version: '24.3.0' },
    packages: { 'node_modules/accepts': LINE.replace('1.3.8', '2.0.0'), 'node_modules/x.y': LINE },
  };
  expect(compareLocks(lock, next).map(({ field }) => field)).toEqual([
    'base.version',
    'packages.node_modules/accepts',
    'packages.node_modules/a/node_modules/@s/accepts',
    'packages.node_modules/x.y',
  ]);
});

describe('a hostile lock', () => {
  const { base, template } = lock;
  const text = JSON.stringify(lock);
  const refused: Record<string, [string, string]> = {
    'no JSON': ['lockVersion: 1', 'is not JSON'],
    'half a merge': [`<<<<<<< HEAD\n${text}\n=======\n`, 'merge conflict'],
    nothing: ['null', 'not a mapping'],
    'a list': ['[]', 'not a mapping'],
    'as deep as it is long': ['['.repeat(500_000) + ']'.repeat(500_000), 'is not JSON'],
    'deep inside': [
      text.replace('"node"', '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000)),
      'is not JSON',
    ],
    'another version': [JSON.stringify({ ...lock, lockVersion: 2 }), 'lockVersion'],
    'a foreign key': [JSON.stringify({ ...lock, seal: 'x' }), '"seal"'],
    'a foreign key inside': [JSON.stringify({ ...lock, base: { ...base, trusted: true } }), 'base."trusted"'],
    __proto__: [text.replace('{', '{"__proto__":{"a":1},'), '"__proto__"'],
    '__proto__ as a package': [
      text.replace('"packages":{', `"packages":{"__proto__":"${LINE}",`),
      'packages',
    ],
    'a key twice': [text.replace('"lockVersion":1', '"lockVersion":1,"lockVersion":1'), 'twice'],
    'a key twice, once escaped': [text.replace('"packages"', '"packages":{},"\\u0070ackages"'), 'twice'],
    'a platform that is none': [
      JSON.stringify({ ...lock, base: { ...base, manifests: { constructor: base.digest } } }),
      'base.manifests',
    ],
    'more platforms than there are': [
      JSON.stringify({
        ...lock,
        base: {
          ...base,
          manifests: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`linux/a${at}`, base.digest])),
        },
      }),
      'base.manifests',
    ],
    'no platform': [JSON.stringify({ ...lock, base: { ...base, manifests: {} } }), 'base.manifests'],
    'no digest': [JSON.stringify({ ...lock, base: { ...base, digest: 'sha256:00' } }), 'base.digest'],
    'controls in a name': [
      JSON.stringify({ ...lock, template: { ...template, name: '\x1b[2J' } }),
      'template',
    ],
    'no packages': [JSON.stringify({ ...lock, packages: undefined }), 'packages is missing'],
    'a list of packages': [JSON.stringify({ ...lock, packages: [LINE] }), 'packages'],
    'a location that climbs': [
      JSON.stringify({ ...lock, packages: { 'node_modules/../../b': LINE } }),
      'packages',
    ],
    'a location outside': [JSON.stringify({ ...lock, packages: { 'lib/a': LINE } }), 'packages'],
    'an absolute location': [JSON.stringify({ ...lock, packages: { '/node_modules/a': LINE } }), 'packages'],
    sha1: [JSON.stringify({ ...lock, packages: { 'node_modules/a': 'a@1.0.0 sha1-AAAA' } }), 'packages'],
  };
  test.each(Object.keys(refused))('%s', async (name) => {
    const [content, problem] = refused[name] ?? ['', ''];
    expect(content).not.toBe(text);
    await expect(read(content)).rejects.toMatchObject({
      code: 'LOCK_INVALID',
      message: expect.stringContaining(problem),
      location: { file: join(folder, 'sandbox.lock') },
    });
    expect(await read(text)).toEqual(lock);
  });

  test('with as many packages as a lockfile may have, it is read', async () => {
    // As long as names, versions and places may be.
    const deep = `node_modules/${'x'.repeat(200)}/`.repeat(3);
    const entries = Array.from({ length: PACKAGE_LIMITS.packages }, (_, index) => {
      const name = `${'y'.repeat(200)}${index}`;
      const line = `${name}@1.0.0-${'0'.repeat(250)} ${LINE.slice('accepts@1.3.8 '.length)}`;
      return [`${deep}node_modules/${name}`, line] as const;
    });
    const large: Lock = { ...lock, packages: Object.fromEntries(entries) };
    await writeLock(folder, large);
    expect((await stat(join(folder, 'sandbox.lock'))).size).toBeGreaterThan(10 * 1024 ** 2);
    expect(Object.keys((await readLock(folder))?.packages ?? {})).toHaveLength(PACKAGE_LIMITS.packages);
  });

  test('larger than 32 MiB, or no plain file, is not read', async () => {
    await writeFile(join(folder, 'sandbox.lock'), text.padEnd(32 * 1024 ** 2));
    await expect(readLock(folder)).resolves.toEqual(lock);
    await truncate(join(folder, 'sandbox.lock'), 32 * 1024 ** 2 + 1);
    await expect(readLock(folder)).rejects.toMatchObject({ code: 'LOCK_INVALID' });
    const other = await makeFolder({});
    await symlink(join(folder, 'sandbox.lock'), join(other, 'sandbox.lock'));
    await expect(readLock(other)).rejects.toMatchObject({ code: 'LOCK_INVALID' });
  });
});
