import { describe, expect, test } from '@jest/globals';
import {
  digestOfPackages,
  formatLockLines,
  formatPackageList,
  isIntegrity,
  isPackageLocation,
  isPackageName,
  parentOf,
  parsePackageList,
  type PackageList,
} from '../../../src/model/package-list.js';

const INTEGRITY = `sha512-${'A'.repeat(86)}==`;
const LIST: PackageList = [
  { location: 'node_modules/@b/c', name: '@b/c', version: '2.0.0', integrity: INTEGRITY, bundledIn: null },
  {
    location: 'node_modules/@b/c/node_modules/d',
    name: 'd',
    version: '1.0.0-rc.1',
    integrity: null,
    bundledIn: 'node_modules/@b/c',
  },
  { location: 'node_modules/a', name: 'a', version: '1.0.0', integrity: INTEGRITY, bundledIn: null },
];

describe('the list of packages', () => {
  test('is canonical JSON, and reads back', () => {
    const text = formatPackageList(LIST);
    expect(text).toBe(
      `{"node_modules/@b/c":{"integrity":"${INTEGRITY}","name":"@b/c","version":"2.0.0"},` +
        `"node_modules/@b/c/node_modules/d":{"bundledIn":"node_modules/@b/c","name":"d","version":"1.0.0-rc.1"},` +
        `"node_modules/a":{"integrity":"${INTEGRITY}","name":"a","version":"1.0.0"}}`,
    );
    expect(parsePackageList(text)).toEqual(LIST);
    expect(digestOfPackages(LIST)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test('is one line a package in sandbox.lock', () => {
    expect(formatLockLines(LIST)).toEqual({
      'node_modules/@b/c': `@b/c@2.0.0 ${INTEGRITY}`,
      'node_modules/@b/c/node_modules/d': 'd@1.0.0-rc.1 in node_modules/@b/c',
      'node_modules/a': `a@1.0.0 ${INTEGRITY}`,
    });
  });

  const one = (entry: unknown, location = 'node_modules/a'): string => JSON.stringify({ [location]: entry });
  test.each([
    ['no JSON', 'x'],
    ['a list', '[]'],
    ['another spelling of the same', JSON.stringify(JSON.parse(formatPackageList(LIST)), null, 1)],
    ['a place outside', one({ integrity: INTEGRITY, name: 'a', version: '1.0.0' }, '../a')],
    ['a name that is none', one({ integrity: INTEGRITY, name: '../b', version: '1.0.0' })],
    ['a weak digest', one({ integrity: `sha1-${'A'.repeat(27)}=`, name: 'a', version: '1.0.0' })],
    ['no digest', one({ name: 'a', version: '1.0.0' })],
    ['a version that is a path', one({ integrity: INTEGRITY, name: 'a', version: '../1' })],
    ['more than there is to say', one({ extra: 1, integrity: INTEGRITY, name: 'a', version: '1.0.0' })],
  ])('from anybody: %s is none', (_what, text) => {
    expect(parsePackageList(text)).toBeUndefined();
  });
});

test('names are those of npm', () => {
  for (const name of ['a', '@a/b', 'JSONStream', 'a.b-c_d', 'crypto', '0', '-', '~a'])
    expect([name, isPackageName(name)]).toEqual([name, true]);
  for (const name of [
    '',
    '.',
    '..',
    '.bin',
    '_a',
    'a/b',
    '@a',
    '@/a',
    '@a/',
    '@a/.b',
    '@../b',
    'a b',
    'ä',
    'a\n',
  ])
    expect([name, isPackageName(name)]).toEqual([name, false]);
  for (const name of ['node_modules', 'Node_Modules', '@a/b/c', 'a'.repeat(215), undefined])
    expect([name, isPackageName(name)]).toEqual([name, false]);
});

test('a place is packages in packages', () => {
  for (const good of ['node_modules/a', 'node_modules/@a/b/node_modules/c'])
    expect([good, isPackageLocation(good)]).toEqual([good, true]);
  for (const bad of [
    'a',
    '/node_modules/a',
    'node_modules/../a',
    'node_modules/a/b',
    'node_modules/a/',
    'node_modules/a//node_modules/b',
    'node_modules/.bin',
    'packages/a/node_modules/b',
    'node_modules/node_modules',
    'node_modules/a\n',
  ])
    expect([bad, isPackageLocation(bad)]).toEqual([bad, false]);
  expect(parentOf('node_modules/@a/b/node_modules/c')).toBe('node_modules/@a/b');
  expect(parentOf('node_modules/c')).toBeNull();
});

test('integrity is one strong digest', () => {
  expect(isIntegrity(INTEGRITY)).toBe(true);
  expect(isIntegrity(`sha256-${'A'.repeat(43)}=`)).toBe(true);
  for (const weak of [
    `sha1-${'A'.repeat(27)}=`,
    `md5-${'A'.repeat(22)}==`,
    `${INTEGRITY} ${INTEGRITY}`,
    `${INTEGRITY}?a`,
    'sha512-AAAA',
    undefined,
  ])
    expect([weak, isIntegrity(weak)]).toEqual([weak, false]);
});
