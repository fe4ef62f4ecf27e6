import { expect, test } from '@jest/globals';
import type { ResolvedPackage } from '../../../../src/model/package-list.js';
import { choosePackages } from '../../../../src/stages/dependencies/choose-packages.js';
import { writeLockfile } from '../../../../src/stages/dependencies/recover-lockfile.js';

const PLATFORM = { os: 'linux', cpu: 'x64', libc: 'glibc', node: '24.21.0' } as const;
const integrity = `sha512-${'A'.repeat(86)}==`;
const PACKAGES: readonly ResolvedPackage[] = [
  { location: 'node_modules/a', name: 'a', version: '1.0.0', integrity, bundledIn: null },
  { location: 'node_modules/b', name: 'real', version: '2.0.0', integrity, bundledIn: null },
  { location: 'node_modules/b/node_modules/c', name: 'c', version: '3.0.0', integrity, bundledIn: null },
];

test.each<[string, readonly string[], readonly string[]]>([
  ['none of them with an install script', [], []],
  ['two of them with one', ['node_modules/b', 'node_modules/b/node_modules/c'], ['c', 'real']],
])('what is written is what was laid in, %s', (_what, scripted, names) => {
  const { manifest, lock } = writeLockfile('job', PACKAGES, new Set(scripted));
  const files = { file: 'l', lockText: lock, manifestFile: 'm', manifestText: manifest };
  const chosen = choosePackages(files, [], PLATFORM, () => true);
  expect(chosen.packages).toMatchObject(
    PACKAGES.map((one) => ({ ...one, worksWithoutScript: scripted.includes(one.location) })),
  );
  expect(chosen.scriptsIgnored).toEqual(names);
  expect(manifest.includes('allowScripts')).toBe(names.length > 0);
});
