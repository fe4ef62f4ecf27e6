import type { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { sha256 } from '../../../../src/model/digest.js';
import { isSystemContents } from '../../../../src/model/image-contents.js';
import { readSystem } from '../../../../src/stages/attest/read-system.js';

function makeTar(
  files: Readonly<Record<string, string>>,
  links: Readonly<Record<string, string>> = {},
): Readable {
  const archive = pack();
  for (const [name, linkname] of Object.entries(links)) archive.entry({ name, type: 'symlink', linkname });
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  return archive as unknown as Readable;
}

const deb = (name: string, version: string, architecture = 'amd64'): object => ({
  manager: 'deb',
  name,
  version,
  architecture,
  licence: null,
});

test('Debian: what dpkg has installed, and nothing that it has removed', async () => {
  const status = `Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib
Version: 1:1.3.dfsg-3.1
Description: compression
 Version: 9.9 is not this one
 .
 Package: nor is this

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: base-files
Status: hold ok installed
Architecture: all
Version: 13.8
`;
  const found = await readSystem(
    makeTar(
      {
        './var/lib/dpkg/status': status,
        'usr/lib/os-release': 'NAME="Debian"\nID=debian\nVERSION_ID="13"\n',
      },
      { 'etc/os-release': '../usr/lib/os-release' },
    ),
  );
  expect(found).toEqual({
    distribution: { id: 'debian', version: '13' },
    packages: [deb('base-files', '13.8', 'all'), deb('zlib1g', '1:1.3.dfsg-3.1')],
    nodes: [],
  });
  expect(isSystemContents(JSON.parse(JSON.stringify(found)))).toBe(true);
});

test('Distroless: one file a package, and their sums beside them', async () => {
  const { packages } = await readSystem(
    makeTar({
      'var/lib/dpkg/status.d/libc6': 'Package: libc6\nVersion: 2.41-12\nArchitecture: amd64\n',
      'var/lib/dpkg/status.d/libc6.md5sums': 'Package: md5\nVersion: 1\n',
      'var/lib/dpkg/status.d/tzdata': 'Package: tzdata\nVersion: 2025b-4\nArchitecture: all\n',
      'home/var/lib/dpkg/status': 'Package: elsewhere\nVersion: 1\n',
    }),
  );
  expect(packages).toEqual([deb('libc6', '2.41-12'), deb('tzdata', '2025b-4', 'all')]);
});

test.each(['lib/apk/db/installed', 'usr/lib/apk/db/installed'])('Alpine and Wolfi: %s', async (name) => {
  const installed =
    'C:Q1x\nP:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\nF:lib\n\nP:nodejs-24\nV:24.1.0-r0\nA:x86_64\n\n';
  expect(
    await readSystem(makeTar({ [name]: installed, 'etc/os-release': "ID='wolfi'\nVERSION_ID=20230201\n" })),
  ).toEqual({
    distribution: { id: 'wolfi', version: '20230201' },
    packages: [
      { manager: 'apk', name: 'musl', version: '1.2.5-r9', architecture: 'x86_64', licence: 'MIT' },
      { manager: 'apk', name: 'nodejs-24', version: '24.1.0-r0', architecture: 'x86_64', licence: null },
    ],
    nodes: [],
  });
});

describe('Node', () => {
  const address = 'https://nodejs.org/download/release/v24.21.0/node-v24.21.0-headers.tar.gz';
  const program = (before: number, text = address): string =>
    `${'x'.repeat(before)}${text}${'y'.repeat(1024 ** 2)}`;

  // Wherever the pieces are cut in which it is read.
  test.each([0, 65_500, 65_530, 131_040])('says its version in the program itself, at %d', async (before) => {
    const content = program(before);
    expect((await readSystem(makeTar({ 'usr/local/bin/node': content }))).nodes).toEqual([
      { path: '/usr/local/bin/node', version: '24.21.0', digest: sha256(content) },
    ]);
  });

  test('is none where an author put it: that would be said of every image over the same base', async () => {
    const files = ['app/node', 'app/x/nodejs', './in/node', 'out/node', '.sjs/node'];
    const { nodes } = await readSystem(
      makeTar(Object.fromEntries([...files, 'opt/app/node'].map((name) => [name, program(0)]))),
    );
    expect(nodes.map(({ path }) => path)).toEqual(['/opt/app/node']);
  });

  test('is none where nothing says which', async () => {
    const { nodes } = await readSystem(
      makeTar(
        { 'usr/bin/node': program(0, 'v24.21.0'), 'opt/node': address, 'opt/noded': program(0) },
        { 'usr/bin/nodejs': 'node' },
      ),
    );
    expect(nodes).toEqual([]);
  });
});

test('a base that says nothing of itself, or what is no text', async () => {
  const empty = { distribution: null, packages: [], nodes: [] };
  expect(await readSystem(makeTar({}))).toEqual(empty);
  const { packages } = await readSystem(
    makeTar({ 'var/lib/dpkg/status': 'Package: a\u001b]52;c;\u0007\nVersion: 1\u202e\n\n:\n\nVersion: 2\n' }),
  );
  // eslint-disable-next-line no-control-regex
  expect(JSON.stringify(packages)).not.toMatch(/[\u0000-\u001f\u202e]/);
  expect(packages).toHaveLength(1);
});

test.each([null, {}, { distribution: null, packages: [{}], nodes: [] }, { packages: [], nodes: [] }])(
  'a cache that has %j has nothing',
  (value) => expect(isSystemContents(value)).toBe(false),
);
