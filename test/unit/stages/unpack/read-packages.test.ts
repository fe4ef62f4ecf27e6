import type { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { sha256 } from '../../../../src/model/digest.js';
import { formatPackageList } from '../../../../src/model/package-list.js';
import { parseManifest } from '../../../../src/stages/unpack/read-manifest.js';
import { findPackagesLayer, readPackages } from '../../../../src/stages/unpack/read-packages.js';

const integrity = `sha512-${Buffer.alloc(64, 1).toString('base64')}`;
const LIST = formatPackageList([
  { location: 'node_modules/@a/b', name: '@a/b', version: '1.0.0', integrity, bundledIn: null },
  { location: 'node_modules/c', name: 'c', version: '2.0.0', integrity, bundledIn: null },
  {
    location: 'node_modules/c/node_modules/d',
    name: 'd',
    version: '3.0.0',
    integrity: null,
    bundledIn: 'node_modules/c',
  },
]);

function makeTar(files: Readonly<Record<string, string>>): Readable {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  return archive as unknown as Readable;
}

test('the packages of the list, with the licences that they state', async () => {
  const tar = makeTar({
    '.sjs/packages.json': LIST,
    'app/node_modules/@a/b/package.json': '{ "name": "@a/b", "version": "1.0.0", "license": "MIT" }',
    'app/node_modules/@a/b/lib/package.json': '{ "version": "9.9.9", "license": "other" }',
    'app/node_modules/c/package.json': '{ "version": "2.0.0", "license": { "type": "MIT" } }',
    'app/node_modules/c/binding.gyp': '{}',
    'app/node_modules/c/deps/binding.gyp': '{}',
    'app/node_modules/c/node_modules/d/package.json': 'not JSON',
  });
  const licences: Record<string, unknown> = {};
  const gyps: string[] = [];
  const packages = await readPackages(tar, sha256(LIST), {
    onManifest: (location, text) => {
      licences[location] = parseManifest(location, text)?.licence;
    },
    onGypFile: (location) => void gyps.push(location),
  });
  expect(gyps).toEqual(['node_modules/c']);
  expect(packages.map(({ location, version }) => [location, version])).toEqual([
    ['node_modules/@a/b', '1.0.0'],
    ['node_modules/c', '2.0.0'],
    ['node_modules/c/node_modules/d', '3.0.0'],
  ]);
  expect(licences).toEqual({
    'node_modules/@a/b': 'MIT',
    'node_modules/c': null,
    'node_modules/c/node_modules/d': undefined,
  });
});

test.each<[string, Record<string, string>, string]>([
  ['no list', {}, LIST],
  ['another list than the label states', { '.sjs/packages.json': '{}' }, LIST],
  ['a list that sjs would not have written', { '.sjs/packages.json': '{"../x":{}}' }, '{"../x":{}}'],
])('%s is refused', async (_what, files, stated) => {
  await expect(readPackages(makeTar(files), sha256(stated))).rejects.toMatchObject({ code: 'SEAL_REFUSED' });
});

test('their layer is the one below the source', () => {
  const [base, packages, source] = ['base', 'packages', 'source'].map((word) => sha256(word));
  const empty = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';
  expect(findPackagesLayer([base!, packages!, source!, empty])).toBe(packages);
  expect(() => findPackagesLayer([source!, empty])).toThrow(
    expect.objectContaining({ code: 'SEAL_REFUSED' }),
  );
});
