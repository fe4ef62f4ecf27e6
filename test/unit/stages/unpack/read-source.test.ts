import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { pack, type Header } from 'tar-stream';
import { sha256 } from '../../../../src/model/digest.js';
import { SOURCE_LIMITS } from '../../../../src/model/source-tree.js';
import { readSource } from '../../../../src/stages/unpack/read-source.js';
import { writeSource } from '../../../../src/stages/unpack/write-source.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

type Entry = readonly [name: string, content?: string, header?: Partial<Header>];

const folder = (name: string): Entry => [name, '', { type: 'directory', mode: 0o755 }];
const link = (name: string, linkname: string): Entry => [name, '', { type: 'symlink', linkname }];
const APP = folder('app/');

async function tarOf(...entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [name, content = '', header] of entries)
    archive.entry({ name, mode: 0o644, ...header }, content);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as unknown as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const read = (tar: Buffer): ReturnType<typeof readSource> => readSource(Readable.from([tar]));

/** A tar whose one header claims that so many bytes follow, and nothing does. */
async function claiming(flag: string, size: number): Promise<Buffer> {
  const tar = (await tarOf(['app/x'])).subarray(0, 512);
  tar.write(flag, 156, 'latin1');
  tar.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  tar.fill(' ', 148, 156);
  const sum = tar.reduce((all, byte) => all + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return tar;
}

describe('what sjs packs', () => {
  const honest = (): Promise<Buffer> =>
    tarOf(
      folder('.sjs/'),
      ['.sjs/secrets-preload.cjs', 'preload'],
      ['.sjs/stripped.json', '["d/x.js"]\n'],
      APP,
      ['app/b', 'bee', { mode: 0o755 }],
      folder('app/d/'),
      ['app/d/x.js', 'js'],
      ['app/d/x.ts', 'ts'],
      link('app/l', 'd/x.ts'),
      folder('in/'),
      ['in/data', 'given'],
      folder('out/'),
    );

  test('is read as it is', async () => {
    const file = (path: string, text: string, executable = false): object => ({
      kind: 'file',
      path,
      bytes: text.length,
      executable,
      digest: sha256(text),
    });
    expect(await read(await honest())).toEqual({
      entries: [
        file('b', 'bee', true),
        { kind: 'folder', path: 'd' },
        file('d/x.js', 'js'),
        file('d/x.ts', 'ts'),
        { kind: 'symlink', path: 'l', target: 'd/x.ts' },
      ],
      inputs: [file('data', 'given')],
      stripped: ['d/x.js'],
      own: [file('secrets-preload.cjs', 'preload'), file('stripped.json', '["d/x.js"]\n')],
    });
  });

  test('is written, but for what was made of TypeScript', async () => {
    const tar = await honest();
    const [app, inputs] = [await makeFolder(), await makeFolder()];
    await writeSource({ app, in: inputs }, await read(tar), () => Readable.from([tar]));
    expect((await readdir(app, { recursive: true })).sort()).toEqual(['b', 'd', 'd/x.ts', 'l']);
    expect(await readFile(join(app, 'l'), 'utf8')).toBe('ts');
    expect(await readdir(inputs)).toEqual(['data']);
  });
});

test.each<[string, readonly Entry[], string]>([
  ['a name above the folder', [APP, ['app/../../etc/passwd', 'x']], 'app/../../etc/passwd'],
  ['an absolute name', [['/etc/passwd', 'x']], 'etc/passwd'],
  ['a name with a dot', [APP, ['./app/x', 'x']], './app/x'],
  ['an empty part', [APP, ['app//x', 'x']], 'app//x'],
  ['a file of the system', [['etc/passwd', 'x']], 'etc/passwd'],
  ['a file that removes one of the base', [APP, ['app/.wh.x']], '.wh.x'],
  ['a file of its own beside ours', [folder('.sjs/'), ['.sjs/hidden.js', 'x']], '.sjs/hidden.js'],
  ['a file at /out', [folder('out/'), ['out/x', 'x']], 'out/x'],
  ['a folder at /in', [folder('in/'), folder('in/d/')], 'is a directory'],
  ['a file below a folder of /in', [folder('in/'), ['in/d/x', 'x']], 'below a folder of /in'],
  ['a link at /in', [folder('in/'), link('in/x', '../etc/passwd')], 'is a symlink'],
  ['the folder of the source as a link', [link('app', '/etc')], 'is a symlink'],
  ['the folder of the source as a file', [['app', 'x']], 'is a file'],
  ['a link that is absolute', [APP, link('app/x', '/etc/passwd')], 'is absolute'],
  ['a link that escapes', [APP, folder('app/d/'), link('app/d/x', '../../etc/passwd')], 'leaves the source'],
  ['a link that escapes by another', [APP, link('app/a', 'b'), link('app/b', '../c')], 'leaves the source'],
  ['links in a circle', [APP, link('app/a', 'b'), link('app/b', 'a')], 'never ends'],
  ['a file below a link', [APP, link('app/d', '.'), ['app/d/x', 'x']], 'lies in no folder'],
  ['a file below a file', [APP, ['app/d', 'x'], ['app/d/x', 'x']], 'lies in no folder'],
  ['a hard link', [APP, ['app/x', '', { type: 'link', linkname: 'etc/passwd' }]], 'is a link'],
  ['a character device', [APP, ['app/x', '', { type: 'character-device' }]], 'is a character-device'],
  ['a block device', [APP, ['app/x', '', { type: 'block-device' }]], 'is a block-device'],
  ['a pipe', [APP, ['app/x', '', { type: 'fifo' }]], 'is a fifo'],
  ['a setuid file', [APP, ['app/x', 'x', { mode: 0o4755 }]], 'is setuid'],
  ['the same file twice', [APP, ['app/x', '1'], ['app/x', '2']], 'app/x" twice'],
  ['a file and a folder of one name', [APP, ['app/x', '1'], folder('app/x/')], 'app/x" twice'],
  ['an input twice', [folder('in/'), ['in/x', '1'], ['in/x', '2']], 'in/x" twice'],
  [
    'a list twice',
    [folder('.sjs/'), ['.sjs/stripped.json', '[]'], ['.sjs/stripped.json', '["x.js"]']],
    'stripped.json" twice',
  ],
  ['a list that is none', [folder('.sjs/'), ['.sjs/stripped.json', '{"a":1}']], 'does not list'],
  ['a list that is no JSON', [folder('.sjs/'), ['.sjs/stripped.json', '[']], 'does not list'],
  [
    'a list that hides code',
    [folder('.sjs/'), ['.sjs/stripped.json', '["x.js"]'], APP, ['app/x.js', 'evil']],
    'does not list',
  ],
  [
    'a list that hides the TypeScript file itself',
    [folder('.sjs/'), ['.sjs/stripped.json', '["x.ts"]'], APP, ['app/x.ts', 'evil']],
    'does not list',
  ],
  [
    'a list of what lies elsewhere',
    [folder('.sjs/'), ['.sjs/stripped.json', '["../in/x.js"]'], folder('in/'), ['in/x.js'], ['in/x.ts']],
    'does not list',
  ],
  ['a path that is too long', [APP, [`app/${'x'.repeat(SOURCE_LIMITS.pathBytes + 1)}`]], 'it has the name'],
  [
    'too many folders in each other',
    [APP, [`app${'/d'.repeat(SOURCE_LIMITS.depth + 1)}`]],
    'it has the name',
  ],
])('%s is refused', async (_what, entries, why) => {
  const refused = read(await tarOf(...entries));
  await expect(refused).rejects.toMatchObject({ code: 'SEAL_REFUSED' });
  await expect(refused).rejects.toThrow(why);
});

test('what a name could do to a terminal is not in the message', async () => {
  await expect(read(await tarOf(['\u001b[2Jx', 'x']))).rejects.toThrow(/^[\x20-\x7e]*$/);
});

test('more files than a source may have are refused, before all of them are read', async () => {
  const files = Array.from({ length: SOURCE_LIMITS.files + 2 }, (_, at): Entry => [`app/${at}`]);
  const tar = await tarOf(APP, ...files);
  let taken = 0;
  const reading = readSource(Readable.from([tar]), () => Promise.resolve(void (taken += 1)));
  await expect(reading).rejects.toThrow(`more than ${SOURCE_LIMITS.files} files`);
  expect(taken).toBe(SOURCE_LIMITS.files - 1);
});

test.each([
  ['a file', '0'],
  ['an extended header', 'x'],
])('%s that claims to be huge is refused where it ends', async (_what, flag) => {
  await expect(read(await claiming(flag, 8 ** 10))).rejects.toMatchObject({
    code: 'SEAL_REFUSED',
    message: 'the layer of the source cannot be read',
  });
});

test('what is no archive, cut short or broken is refused', async () => {
  const tar = await tarOf(APP, ['app/x', 'x'.repeat(2000)]);
  for (const bytes of [Buffer.alloc(4096, 'x'), tar.subarray(0, 1500), tar.subarray(100)]) {
    await expect(read(bytes)).rejects.toMatchObject({ code: 'SEAL_REFUSED' });
  }
});
