import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { extract } from 'tar-stream';
import { ZipFile } from 'yazl';
import type { LockedWheel } from '../../../../src/model/locked-package.js';
import { digestOfPackages, type PackageList } from '../../../../src/model/package-list.js';
import { parseWheelName } from '../../../../src/model/wheel.js';
import { layWheels } from '../../../../src/stages/dependencies/lay-wheels.js';
import { readPackages } from '../../../../src/stages/unpack/read-packages.js';
import { makeWheel, sha256Of, type Wheel, type WheelOptions } from '../../../support/package-index.js';

const PLATFORM = { version: '3.11.2', machine: 'x86_64' };

function locked({ file, bytes }: Wheel, extras: readonly string[] = []): LockedWheel {
  const name = parseWheelName(file);
  if (name === null) throw new Error(file);
  return {
    location: `site-packages/${name.project}`,
    name: name.project,
    version: name.version,
    integrity: `sha256-${Buffer.from(sha256Of({ bytes }), 'hex').toString('base64')}`,
    bundledIn: null,
    extras,
    url: '',
    stem: name.stem,
  };
}

async function lay(wheels: readonly Wheel[], extras: readonly string[] = []): Promise<Buffer> {
  const packages = wheels.map((wheel) => locked(wheel, extras));
  const open = (wanted: LockedWheel): Readable =>
    Readable.from([
      wheels.find((wheel) => wheel.file.startsWith(`${wanted.stem}-`))?.bytes ?? Buffer.alloc(0),
    ]);
  return buffer(Readable.from(layWheels(packages, PLATFORM, open)));
}

/** Names with modes, below `packages/`. */
async function namesOf(layer: Buffer): Promise<string[]> {
  const names: string[] = [];
  const archive = extract();
  Readable.from([layer, Buffer.alloc(1024)]).pipe(archive);
  for await (const { header, ...entry } of archive) {
    if (header.type === 'file') names.push(`${header.name} ${(header.mode ?? 0).toString(8)}`);
    void entry;
  }
  return names;
}

const make = (options: WheelOptions = {}, files: Record<string, string> = { 'a.py': '1\n' }) =>
  makeWheel('a', '1.0', files, options);

test('lays pure and compiled files into one site-packages, and neither scripts nor other data', async () => {
  const wheel = await make(
    { modes: { 'a/run.sh': 0o100755 } },
    {
      'a/__init__.py': '',
      'a/run.sh': '#!/bin/sh\n',
      'a/with, "comma".txt': 'x',
      'a-1.0.data/purelib/b.py': '',
      'a-1.0.data/platlib/c.so': '',
      'a-1.0.data/scripts/a': '',
      'a-1.0.data/headers/a.h': '',
      'a-1.0.data/data/etc/a': '',
    },
  );
  const names = await namesOf(await lay([wheel]));
  expect(names.filter((name) => !name.includes('dist-info'))).toEqual([
    'packages/.sjs/packages.json 644',
    'packages/app/site-packages/a/__init__.py 644',
    'packages/app/site-packages/a/run.sh 755',
    'packages/app/site-packages/a/with, "comma".txt 644',
    'packages/app/site-packages/b.py 644',
    'packages/app/site-packages/c.so 644',
  ]);
  expect((await lay([wheel])).equals(await lay([wheel]))).toBe(true);
});

test('two parts of one namespace may have the same file, and not two of one name', async () => {
  const [one, two, three] = await Promise.all([
    makeWheel('one', '1', { 'space/__init__.py': '', 'space/one.py': '' }),
    makeWheel('two', '1', { 'space/__init__.py': '', 'space/two.py': '' }),
    makeWheel('three', '1', { 'space/__init__.py': 'evil()', 'space/three.py': '' }),
  ]);
  await expect(lay([one, two])).resolves.toBeDefined();
  await expect(lay([one, three])).rejects.toMatchObject({
    code: 'PACKAGE_REFUSED',
    message: expect.stringContaining('"app/site-packages/space/__init__.py" would be there twice'),
  });
});

describe('refuses', () => {
  const cases: readonly [string, () => Promise<Wheel>, string, RegExp][] = [
    [
      'what is no archive',
      () => Promise.resolve({ file: 'a-1.0-py3-none-any.whl', bytes: Buffer.from('x') }),
      'PACKAGE_REFUSED',
      /cannot be read as an archive/,
    ],
    [
      'another project',
      () => make({ instead: { 'a-1.0.dist-info/METADATA': 'Name: b\nVersion: 1.0\n' } }),
      'PACKAGE_MISMATCH',
      /it says that it is b 1\.0/,
    ],
    [
      'another version',
      () => make({ instead: { 'a-1.0.dist-info/METADATA': 'Name: a\nVersion: 2.0\n' } }),
      'PACKAGE_MISMATCH',
      /it says that it is a 2\.0/,
    ],
    [
      'one for another Python',
      () => make({ metadata: ['Requires-Python: >=3.12'] }),
      'PACKAGE_MISMATCH',
      /needs Python >=3\.12, and the base has 3\.11\.2/,
    ],
    [
      'one that needs what is missing',
      () => make({ metadata: ['Requires-Dist: b (>=2)'] }),
      'PACKAGE_MISMATCH',
      /needs b \(>=2\), which requirements\.txt does not have/,
    ],
    [
      'a need that cannot be read',
      () => make({ metadata: ['Requires-Dist: ((('] }),
      'PACKAGE_REFUSED',
      /what it needs cannot be read/,
    ],
    [
      'one without METADATA',
      () => make({ instead: { 'a-1.0.dist-info/METADATA': null } }),
      'PACKAGE_REFUSED',
      /has no a-1\.0\.dist-info\/METADATA/,
    ],
    [
      'another format',
      () => make({ instead: { 'a-1.0.dist-info/WHEEL': 'Wheel-Version: 2.0\n' } }),
      'PACKAGE_REFUSED',
      /no version of the format/,
    ],
    [
      'a file that no RECORD has',
      () => make({ unrecorded: { 'evil.py': 'x' } }),
      'PACKAGE_REFUSED',
      /"evil\.py" is not in its RECORD/,
    ],
    [
      'a file that is another',
      () =>
        make({
          unrecorded: { 'a.py': 'other' },
          instead: {
            'a-1.0.dist-info/RECORD':
              'a.py,sha256=AAAA,1\na-1.0.dist-info/METADATA,,\na-1.0.dist-info/WHEEL,,\n',
          },
        }),
      'PACKAGE_REFUSED',
      /is not what its RECORD says/,
    ],
    [
      'a RECORD that cannot be read',
      () => make({ instead: { 'a-1.0.dist-info/RECORD': '"' } }),
      'PACKAGE_REFUSED',
      /RECORD cannot be read/,
    ],
    [
      'the folder of another',
      () => make({}, { 'b-1.0.dist-info/METADATA': 'x' }),
      'PACKAGE_REFUSED',
      /says with "b-1\.0\.dist-info" that it is another/,
    ],
    [
      'the folder of another, by its data',
      () => make({}, { 'a-1.0.data/purelib/b-1.0.dist-info/METADATA': 'x' }),
      'PACKAGE_REFUSED',
      /says with "b-1\.0\.dist-info"/,
    ],
    [
      'the folder of another, in other letters',
      () => make({}, { 'b-1.0.DIST-INFO/METADATA': 'x' }),
      'PACKAGE_REFUSED',
      /says with "b-1\.0\.DIST-INFO"/,
    ],
    [
      'the file of another, of before wheels',
      () => make({}, { 'b-1.0.egg-info': 'Name: b' }),
      'PACKAGE_REFUSED',
      /says with "b-1\.0\.egg-info"/,
    ],
    ['a link', () => make({ modes: { 'a.py': 0o120777 } }), 'PACKAGE_REFUSED', /"a\.py" is a link/],
    ['a whiteout', () => make({}, { '.wh.evil': '' }), 'PACKAGE_REFUSED', /it has the name "\.wh\.evil"/],
    [
      'a name in two cases',
      () => make({}, { 'A.py': '', 'a.py': '' }),
      'PACKAGE_REFUSED',
      /differ only in letter case/,
    ],
  ];
  test.each(cases)('%s', async (_name, wheel, code, message) => {
    await expect(lay([await wheel()])).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test.each(['../evil.py', '/evil.py', 'a\\..\\evil.py', 'a//b.py', './a.py'])(
    'the name %s',
    async (name) => {
      const wheel = await make({}, { ['x'.repeat(name.length)]: '' });
      // The tool that makes archives refuses such names too: the bytes are changed.
      const bytes = Buffer.from(
        wheel.bytes.toString('latin1').replaceAll('x'.repeat(name.length), name),
        'latin1',
      );
      await expect(lay([{ ...wheel, bytes }])).rejects.toMatchObject({ code: 'PACKAGE_REFUSED' });
    },
  );

  test('an archive that unpacks to more than all may have', async () => {
    const zip = new ZipFile();
    zip.addBuffer(Buffer.alloc(1024 ** 2), 'bomb.bin');
    zip.end();
    const bytes = await buffer(zip.outputStream);
    // What the directory says is counted before anything is unpacked.
    const at = bytes.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    bytes.writeUInt32LE(0xfffffffe, at + 24);
    await expect(lay([{ file: 'a-1.0-py3-none-any.whl', bytes }])).rejects.toMatchObject({
      code: 'PACKAGE_TOO_LARGE',
    });
  });

  test('a file that has another name for others who read it', async () => {
    const wheel = await make({}, { 'a.py': '', 'b.py': '' });
    const bytes = Buffer.from(wheel.bytes);
    // The first is of the file itself, the last of the directory.
    bytes.write('c.py', bytes.indexOf('b.py'));
    await expect(lay([{ ...wheel, bytes }])).rejects.toMatchObject({
      code: 'PACKAGE_REFUSED',
      message: expect.stringContaining('"b.py" has two names'),
    });
  });

  test('a file that cannot be unpacked, whose name is refused before', async () => {
    const wheel = await make({}, { 'A.py': '', 'a.py': 'x'.repeat(1000) });
    const bytes = Buffer.from(wheel.bytes);
    const at = bytes.indexOf('a.py') + 4;
    bytes.fill(0xff, at, at + 8);
    // An error that nobody hears would end this process.
    await expect(lay([{ ...wheel, bytes }])).rejects.toMatchObject({ code: 'PACKAGE_REFUSED' });
    await setImmediate();
  });

  test('more needs than are read', async () => {
    const wheel = await make({ metadata: Array<string>(1500).fill('Requires-Dist: b ; extra == "x"') });
    const extras = Array.from({ length: 50 }, (_, at) => `e${at}`);
    await expect(lay([wheel], extras)).rejects.toMatchObject({
      code: 'PACKAGE_TOO_LARGE',
      message: 'a 1.0 says too much of what it needs',
    });
    await expect(lay([wheel])).resolves.toBeDefined();
  });

  test('what an extra needs, where it is asked for', async () => {
    const wheel = await make({ metadata: ['Requires-Dist: b ; extra == "more"'] });
    await expect(lay([wheel])).resolves.toBeDefined();
    await expect(lay([wheel], ['more'])).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
    const other = await make({ metadata: ['Requires-Dist: b ; extra == "use_more.of"'] });
    await expect(lay([other], ['use-more-of'])).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  });
});

describe('a sealed layer of wheels', () => {
  const read = (layer: Buffer, packages: PackageList) =>
    readPackages(Readable.from([layer, Buffer.alloc(1024)]), digestOfPackages(packages));
  /** As the engine has it: without the folder of the build context. */
  async function sealed(wheels: readonly Wheel[], change: (name: string) => string | null = (name) => name) {
    const { pack } = await import('tar-stream');
    const archive = extract();
    Readable.from([await lay(wheels), Buffer.alloc(1024)]).pipe(archive);
    const out = pack();
    for await (const entry of archive) {
      const name = change(entry.header.name.replace(/^packages\/?/, ''));
      const content = await buffer(entry);
      if (name) out.entry({ ...entry.header, name }, content);
    }
    out.finalize();
    return buffer(out);
  }

  test('is read back, and a file that no RECORD has is refused', async () => {
    const wheel = await make();
    const { location, name, version, integrity, bundledIn } = locked(wheel);
    const list = [{ location, name, version, integrity, bundledIn }];
    await expect(read(await sealed([wheel]), list)).resolves.toEqual(list);
    const hidden = await sealed([wheel], (path) =>
      path.endsWith('/a.py') ? path.replace('a.py', 'json.py') : path,
    );
    await expect(read(hidden, list)).rejects.toMatchObject({
      code: 'SEAL_REFUSED',
      message: expect.stringContaining('json.py" lies in no package'),
    });
    const bare = await sealed([wheel], (path) => (path.endsWith('/RECORD') ? null : path));
    await expect(read(bare, list)).rejects.toMatchObject({
      code: 'SEAL_REFUSED',
      message: expect.stringContaining('has no RECORD'),
    });
  });
});
