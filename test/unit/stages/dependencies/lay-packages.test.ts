import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { extract } from 'tar-stream';
import { PACKAGE_LIMITS, type LockedPackage } from '../../../../src/model/locked-package.js';
import { digestOfPackages } from '../../../../src/model/package-list.js';
import { layPackages } from '../../../../src/stages/dependencies/lay-packages.js';
import { readPackages } from '../../../../src/stages/unpack/read-packages.js';
import { integrityOf, makePackage, makeTarball, type Content } from '../../../support/package-registry.js';

const tarballs = new Map<string, Buffer>();

function locked(location: string, tarball: Buffer | null, more: Partial<LockedPackage> = {}): LockedPackage {
  const integrity = tarball && integrityOf(tarball);
  if (tarball && integrity) tarballs.set(integrity, tarball);
  const name = location.replace(/.*node_modules\//, '');
  const own = { location, name, version: '1.0.0', integrity, bundledIn: null };
  return { ...own, resolved: null, hasInstallScript: false, worksWithoutScript: false, aliases: {}, ...more };
}

const open = ({ integrity }: LockedPackage): AsyncIterable<Uint8Array> =>
  Readable.from([tarballs.get(integrity ?? '')], { objectMode: true });

const lay = (...packages: LockedPackage[]): Promise<Buffer> =>
  buffer(Readable.from(layPackages(packages, open)));

/** Name to mode, and target or text. */
async function entriesOf(layer: Buffer): Promise<Record<string, string>> {
  const archive = extract();
  archive.end(Buffer.concat([layer, Buffer.alloc(1024)]));
  const found: Record<string, string> = {};
  for await (const entry of archive) {
    const { name, type, mode = 0, uid, gid, mtime, linkname } = entry.header;
    expect([uid, gid, mtime?.getTime()]).toEqual([0, 0, 0]);
    const text = (await buffer(entry)).toString();
    found[name] = `${type === 'file' ? mode.toString(8) : type} ${linkname ?? text}`.trim();
  }
  return found;
}

const single = async (files: Record<string, Content>, manifest: object = {}): Promise<LockedPackage> =>
  locked('node_modules/a', await makePackage('a', '1.0.0', files, manifest));

test('a package lies as npm lays it, the list beside it', async () => {
  const one = await single(
    { 'lib/run.js': '#!/usr/bin/env node\r\n1', 'tool.sh': { mode: 0o4777, text: '2' }, '.gitignore': 'x' },
    { bin: { run: 'lib/run.js', '@scope/up': './lib/run.js', gone: 'gone.js' } },
  );
  const entries = await entriesOf(await lay(one));
  expect(entries).toEqual({
    packages: 'directory',
    'packages/.sjs': 'directory',
    'packages/.sjs/packages.json': `644 {"node_modules/a":{"integrity":"${one.integrity}","name":"a","version":"1.0.0"}}`,
    'packages/app': 'directory',
    'packages/app/node_modules': 'directory',
    'packages/app/node_modules/a': 'directory',
    'packages/app/node_modules/a/package.json': expect.stringMatching(/^644 /),
    'packages/app/node_modules/a/index.js': '644',
    'packages/app/node_modules/a/lib': 'directory',
    'packages/app/node_modules/a/lib/run.js': '755 #!/usr/bin/env node\n1',
    'packages/app/node_modules/a/tool.sh': '755 2',
    'packages/app/node_modules/a/.npmignore': '644 x',
    'packages/app/node_modules/.bin': 'directory',
    'packages/app/node_modules/.bin/run': 'symlink ../a/lib/run.js',
    'packages/app/node_modules/.bin/up': 'symlink ../a/lib/run.js',
  });
});

test('the layer is the same whatever order the cache gives things in, and reads back', async () => {
  const a = await single({});
  const b = locked('node_modules/@b/c', await makePackage('@b/c', '1.0.0', {}, { bin: 'index.js' }));
  const [one, other] = [await lay(b, a), await lay(b, a)];
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(digest(one)).toBe(digest(other));
  const inImage = Buffer.from(one.toString('latin1').replaceAll('packages/', ''), 'latin1');
  expect(inImage.length).toBeLessThan(one.length);
});

test('no command is the removal of another file', async () => {
  const one = await single({}, { bin: { '.wh.b': 'index.js', run: 'index.js' } });
  const names = Object.keys(await entriesOf(await lay(one)));
  expect(names.filter((name) => name.includes('.bin/'))).toEqual(['packages/app/node_modules/.bin/run']);
});

test('of two commands of one name the first has it, as with npm', async () => {
  const bin = { bin: { run: 'index.js' } };
  const packages = await Promise.all(
    ['b', 'a'].map(async (name) => locked(`node_modules/${name}`, await makePackage(name, '1.0.0', {}, bin))),
  );
  expect((await entriesOf(await lay(...packages)))['packages/app/node_modules/.bin/run']).toBe(
    'symlink ../a/index.js',
  );
});

test('a large package is read twice instead of being kept', async () => {
  const large = Buffer.alloc(17 * 1024 ** 2, 'x');
  const one = await single({ 'large.txt': large, 'run.js': '#!x\r\n1\r\n' }, { bin: 'run.js' });
  const entries = await entriesOf(await lay(one));
  expect(entries['packages/app/node_modules/a/large.txt']?.length).toBe(large.length + '644 '.length);
  expect(entries['packages/app/node_modules/a/run.js']).toBe('755 #!x\n1');
});

test('a command is as large as it likes: only its first line is looked at', async () => {
  const [first, rest] = ['#!/usr/bin/env node', Buffer.alloc(40 * 1024 ** 2, '\r\n')];
  const one = await single(
    { 'run.js': Buffer.concat([Buffer.from(`${first}\r\n`), rest]) },
    { bin: 'run.js' },
  );
  let [bytes, most] = [0, 0];
  for await (const chunk of layPackages([one], open)) {
    bytes += chunk.length;
    most = Math.max(most, chunk.length);
  }
  expect(bytes).toBeGreaterThan(rest.length);
  // Nothing of it was put together.
  expect(most).toBeLessThan(1024 ** 2);
});

test('what is bundled comes in its parent’s tarball, and is checked as any', async () => {
  const inner = JSON.stringify({ name: 'b', version: '1.0.0', bin: 'b.js' });
  const files = { 'node_modules/b/package.json': inner, 'node_modules/b/b.js': '' };
  const parent = await single(files);
  const bundled = locked('node_modules/a/node_modules/b', null, { bundledIn: 'node_modules/a' });
  const entries = await entriesOf(await lay(parent, bundled));
  expect(entries['packages/app/node_modules/a/node_modules/.bin/b']).toBe('symlink ../b/b.js');
  await expect(lay(parent, { ...bundled, version: '2.0.0' })).rejects.toMatchObject({
    code: 'PACKAGE_MISMATCH',
  });
  await expect(lay(await single({}), bundled)).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
});

describe('a tarball that npm never made', () => {
  test.each<[string, Record<string, Content>, string]>([
    ['a way up', { '=package/../../x': '1' }, 'it has the name'],
    ['an absolute name', { '=/etc/x': '1' }, 'it has the name'],
    ['a backslash', { '=package/a\\..\\x': '1' }, 'it has the name'],
    ['what cannot be seen', { 'x\u202ey': '1' }, 'it has the name'],
    ['the removal of another file', { 'lib/.wh.index.js': '' }, 'it has the name'],
    ['the removal of all in a folder', { '.wh..wh..opq': '' }, 'it has the name'],
    ['a symbolic link', { x: { type: 'symlink', linkname: '/etc/passwd' } }, 'is a link'],
    ['a hard link', { x: { type: 'link', linkname: 'package/package.json' } }, 'is a link'],
    ['a device', { x: { type: 'character-device', devmajor: 1, devminor: 3 } }, 'character-device'],
    ['a pipe', { x: { type: 'fifo' } }, 'is a fifo'],
    ['a name twice', { x: '1', '=other/x': '2' }, 'twice'],
    ['names that differ in case', { x: '1', X: '2' }, 'differ only in letter case'],
    ['a file that is a folder too', { x: '1', 'x/y': '2' }, 'twice'],
    ['a path without end', { [`${'d/'.repeat(70)}x`]: '1' }, 'it has the name'],
  ])('with %s is refused', async (_what, files, words) => {
    await expect(lay(await single(files))).rejects.toMatchObject({
      code: 'PACKAGE_REFUSED',
      message: expect.stringContaining(words),
    });
  });

  test.each(['../up', 'a/b', '@scope/a/b', 'a\\b', 'a\0b', 'a\nb', 'x'.repeat(256)])(
    'with the command %j is refused',
    async (command) => {
      const one = await single({}, { bin: { [command]: 'index.js' } });
      await expect(lay(one)).rejects.toMatchObject({ code: 'PACKAGE_REFUSED' });
    },
  );

  test('cannot lie in another package', async () => {
    const b = locked('node_modules/a/node_modules/b', await makePackage('b', '1.0.0'));
    const a = await single({ 'node_modules/b/index.js': 'evil' });
    await expect(lay(a, b)).rejects.toMatchObject({ code: 'PACKAGE_REFUSED' });
    // Of what nobody else has there it may do as it likes.
    await expect(lay(a)).resolves.toBeDefined();
  });

  test('that is broken, or a bomb, ends', async () => {
    const bomb = gzipSync(Buffer.alloc(2 * 1024 ** 2));
    for (const bytes of [Buffer.from('x'), Buffer.from([0x1f, 0x8b, 1, 2]), bomb.subarray(0, 100)]) {
      await expect(lay(locked('node_modules/a', bytes))).rejects.toMatchObject({
        code: expect.stringMatching(/^PACKAGE_(REFUSED|MISMATCH)$/),
      });
    }
  });
});

describe('a package says who it is', () => {
  test.each([
    ['another name', { name: 'b', version: '1.0.0' }],
    ['another version', { name: 'a', version: '1.0.1' }],
    ['nothing', {}],
  ])('%s', async (_what, manifest) => {
    const tarball = await makeTarball({ 'package.json': JSON.stringify(manifest) });
    await expect(lay(locked('node_modules/a', tarball))).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  });

  test('its version as the registry writes it', async () => {
    const tarball = await makeTarball({ 'package.json': '\ufeff{"name":"a","version":"v1.0.0+build"}' });
    await expect(lay(locked('node_modules/a', tarball))).resolves.toBeDefined();
  });

  test('and by which names it asks for others', async () => {
    const alias = { aliases: { b: 'real' } };
    const says = async (dependencies: object): Promise<Buffer> => {
      const tarball = await makePackage('a', '1.0.0', {}, { dependencies });
      return lay(locked('node_modules/a', tarball, alias));
    };
    await expect(says({ b: 'npm:real@^1' })).resolves.toBeDefined();
    await expect(says({ b: '^1' })).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  });
});

describe('an install script that the lockfile does not tell of', () => {
  const scripts = (event: string): object => ({ scripts: { [event]: 'node evil.js' } });
  test.each<[string, object, Record<string, Content>]>([
    ['preinstall', scripts('preinstall'), {}],
    ['install', scripts('install'), {}],
    ['postinstall', scripts('postinstall'), {}],
    ['binding.gyp', {}, { 'binding.gyp': '{}' }],
    ['binding.gyp', { gypfile: true }, { 'binding.gyp': '{}' }],
    ['postinstall', scripts('postinstall'), { 'binding.gyp': '{}' }],
  ])('%s', async (what, manifest, files) => {
    const one = await single(files, manifest);
    await expect(lay(one)).rejects.toMatchObject({
      code: 'PACKAGE_MISMATCH',
      message: expect.stringContaining(`has an install script (${what})`),
      next: expect.stringContaining('"allowScripts": { "a": false }'),
    });
    await expect(lay({ ...one, worksWithoutScript: true })).resolves.toBeDefined();
  });

  test.each<[string, object, Record<string, Content>]>([
    ['scripts that no installation runs', { scripts: { prepare: 'x', test: 'x', prepublish: 'x' } }, {}],
    ['an empty one', { scripts: { install: '' } }, {}],
    ['gypfile: false', { gypfile: false }, { 'binding.gyp': '{}' }],
    ['a binding.gyp below', {}, { 'deps/binding.gyp': '{}' }],
  ])('is none: %s', async (_what, manifest, files) => {
    await expect(lay(await single(files, manifest))).resolves.toBeDefined();
  });

  test('in a bundled package', async () => {
    const inner = JSON.stringify({ name: 'b', version: '1.0.0', ...scripts('install') });
    const parent = await single({ 'node_modules/b/package.json': inner });
    const bundled = locked('node_modules/a/node_modules/b', null, { bundledIn: 'node_modules/a' });
    await expect(lay(parent, bundled)).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
    await expect(lay(parent, { ...bundled, worksWithoutScript: true })).resolves.toBeDefined();
  });
});

describe('what is kept of a package is bounded', () => {
  const tooLarge = { code: 'PACKAGE_TOO_LARGE' };

  test('its package.json', async () => {
    const text = 'x'.repeat(PACKAGE_LIMITS.manifestBytes);
    await expect(lay(await single({}, { text }))).rejects.toMatchObject({
      ...tooLarge,
      message: expect.stringContaining('the package.json of a@1.0.0'),
    });
    // Any other file of that name is a file.
    await expect(lay(await single({ 'test/package.json': text }))).resolves.toBeDefined();
  });

  // With other bounds: a tarball that meets the real ones takes long to make.
  afterEach(() => void jest.restoreAllMocks());

  test.each([
    ['names', 50, 'files and folders'],
    ['nameBytes', 2400, 'of names'],
  ] as const)('the %s of its files, with the folders above them', async (limit, most, words) => {
    const files = (count: number) =>
      makePackage(
        'a',
        '1.0.0',
        Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}/${'d/'.repeat(18)}x`, ''])),
      );
    const [two, three] = [await files(2), await files(3)];
    jest.replaceProperty(PACKAGE_LIMITS, limit, most);
    await expect(lay(locked('node_modules/a', two))).resolves.toBeDefined();
    await expect(lay(locked('node_modules/a', three))).rejects.toMatchObject({
      ...tooLarge,
      message: expect.stringContaining(words),
    });
  });

  test('the names of its commands', async () => {
    const bin = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`c${index}`, 'gone.js']));
    const one = await single({}, { bin });
    await expect(lay(one)).resolves.toBeDefined();
    jest.replaceProperty(PACKAGE_LIMITS, 'names', 50 as never);
    await expect(lay(one)).rejects.toMatchObject(tooLarge);
  });
});

describe('the layer of a sealed image', () => {
  /** As the engine has it: without the folder of the build context. */
  async function asLayer(
    change: (name: string) => string = (name) => name,
  ): Promise<{ tar: Buffer; digest: ReturnType<typeof digestOfPackages> }> {
    const { pack } = await import('tar-stream');
    const one = await single({ 'run.js': '' }, { bin: 'run.js' });
    const from = extract();
    from.end(Buffer.concat([await lay(one), Buffer.alloc(1024)]));
    const to = pack();
    for await (const entry of from) {
      const content = await buffer(entry);
      const name = change(entry.header.name.replace(/^packages\/?/, ''));
      if (name !== '') to.entry({ ...entry.header, name }, content);
    }
    to.finalize();
    return { tar: await buffer(to), digest: digestOfPackages([one]) };
  }
  const read = ({ tar, digest }: Awaited<ReturnType<typeof asLayer>>) =>
    readPackages(Readable.from([tar]), digest);

  test('reads back', async () => {
    await expect(read(await asLayer())).resolves.toMatchObject([{ location: 'node_modules/a', name: 'a' }]);
  });

  test.each<[string, (name: string) => string]>([
    ['a file outside', (name) => name.replace('app/node_modules/a/index.js', 'etc/passwd')],
    ['a file in no package', (name) => name.replace('a/index.js', 'b/index.js')],
    ['a file of the source', (name) => name.replace('app/node_modules/a/index.js', 'app/index.js')],
    ['a whiteout', (name) => name.replace('a/index.js', 'a/.wh.index.js')],
    ['a link that is no command', (name) => name.replace('.bin/a', 'a/link')],
    ['no list', (name) => name.replace('.sjs/packages.json', '')],
  ])('with %s is refused', async (_what, change) => {
    await expect(read(await asLayer(change))).rejects.toMatchObject({ code: 'SEAL_REFUSED' });
  });

  test('with another list than the label names is refused', async () => {
    const layer = await asLayer();
    await expect(read({ ...layer, digest: digestOfPackages([]) })).rejects.toMatchObject({
      code: 'SEAL_REFUSED',
    });
  });
});

test('what is refused is refused at once, however much lies behind it', async () => {
  const behind = Buffer.alloc(8 * 1024 ** 2, 'x');
  const tarball = await makePackage('a', '1.0.0', { x: { type: 'symlink', linkname: '/etc' }, behind });
  await expect(lay(locked('node_modules/a', tarball))).rejects.toMatchObject({ code: 'PACKAGE_REFUSED' });
});

test.each([
  ['kept', 4],
  ['streamed', 20],
])('whoever stops reading in the middle of a file that is %s is let go', async (_what, mebibytes) => {
  const large = Buffer.alloc(mebibytes * 1024 ** 2, 'x');
  const tarball = await makePackage('a', '1.0.0', { large, 'z.js': '1' });
  const layer = layPackages([locked('node_modules/a', tarball)], open);
  let bytes = 0;
  for await (const chunk of layer) if ((bytes += chunk.length) > 1024 ** 2) break;
  expect(bytes).toBeGreaterThan(1024 ** 2);
});
