import { createHash } from 'node:crypto';
import {
  renameSync,
  symlinkSync,
  writeFileSync,
  appendFileSync,
  truncateSync,
  chmodSync,
  utimesSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { extract } from 'tar-stream';
import { collectSource } from '../../../../src/stages/collect/collect-source.js';
import { packContext, type PackedContext } from '../../../../src/stages/pack/pack-context.js';
import { makeLoaded } from '../../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const collect = (folder: string) =>
  collectSource(makeLoaded(join(folder, 'sandbox.yaml')), {
    maxBytes: 1024 ** 3,
    forbidden: { containing: [], being: [] },
  });

const pack = async (folder: string, tree = collect(folder)): Promise<PackedContext> =>
  packContext({
    dockerfile: 'FROM x\n',
    tree: await tree,
    files: { '/.sjs/p.cjs': Buffer.from('1') },
    folders: ['/out'],
  });

interface Entry {
  name: string;
  mode: number;
  content: string;
  linkname: string | null;
}

async function list(context: PackedContext): Promise<Entry[]> {
  const entries: Entry[] = [];
  const reader = extract();
  Readable.from(context.open()).pipe(reader);
  for await (const entry of reader) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk);
    expect(entry.header).toMatchObject({ uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) });
    entries.push({
      name: entry.header.name,
      mode: entry.header.mode,
      linkname: entry.header.linkname,
      content: Buffer.concat(chunks).toString(),
    });
  }
  return entries;
}

test('lays the image out below layer/, with modes 0644 and 0755 alone (P13)', async () => {
  const folder = await makeFolder({
    'index.js': 'code',
    'bin/run': 'x',
    Dockerfile: 'FROM evil',
    '.dockerignore': '*',
  });
  chmodSync(join(folder, 'bin/run'), 0o6711);
  chmodSync(join(folder, 'index.js'), 0o400);
  symlinkSync('index.js', join(folder, 'link'));
  const entries = await list(await pack(folder));
  expect(
    entries.map((entry) => [entry.name, entry.mode.toString(8), entry.linkname ?? entry.content]),
  ).toEqual([
    ['Dockerfile', '644', 'FROM x\n'],
    ['layer', '755', ''],
    ['layer/.sjs', '755', ''],
    ['layer/out', '755', ''],
    ['layer/.sjs/p.cjs', '644', '1'],
    ['layer/app', '755', ''],
    ['layer/app/.dockerignore', '644', '*'],
    ['layer/app/Dockerfile', '644', 'FROM evil'],
    ['layer/app/bin', '755', ''],
    ['layer/app/index.js', '644', 'code'],
    ['layer/app/link', '777', 'index.js'],
    ['layer/app/bin/run', '755', 'x'],
  ]);
});

test('P21: the same tree elsewhere, with other times, modes and umask, is the same tar', async () => {
  const files = {
    'z.js': '1',
    'A.js': '2',
    'a b/ü.js': '3',
    [`${'long/'.repeat(30)}${'n'.repeat(120)}.js`]: '4',
  };
  const [one, two] = [
    await makeFolder(files),
    await makeFolder(Object.fromEntries(Object.entries(files).reverse())),
  ];
  utimesSync(join(two, 'z.js'), 1, 2);
  chmodSync(join(two, 'A.js'), 0o600);
  const umask = process.umask(0o077);
  const second = await pack(two);
  process.umask(umask);
  expect((await pack(one)).digest).toBe(second.digest);
  appendFileSync(join(two, 'z.js'), ' ');
  expect((await pack(two)).digest).not.toBe(second.digest);
});

test('the order in which a tree is given does not matter, and nothing of it is left out silently', async () => {
  const folder = await makeFolder({ 'd/e/f.js': '1', 'a.js': '2' });
  const tree = await collect(folder);
  const turned = { ...tree, entries: [...tree.entries].reverse() };
  expect((await pack(folder, Promise.resolve(turned))).digest).toBe((await pack(folder)).digest);
  const holed = { ...tree, entries: tree.entries.filter(({ kind }) => kind === 'file') };
  await expect(pack(folder, Promise.resolve(holed))).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('empty files and a file of several reads come out whole', async () => {
  const large = 'x'.repeat(700_001);
  const folder = await makeFolder({ empty: '', large });
  const entries = await list(await pack(folder));
  expect(entries.find((entry) => entry.name.endsWith('large'))?.content).toBe(large);
  expect(entries.find((entry) => entry.name.endsWith('empty'))?.content).toBe('');
});

test.each([
  ['P12 grows', (file: string) => appendFileSync(file, 'more'), /size/],
  ['P12 shrinks', (file: string) => truncateSync(file, 1), /size/],
  [
    'P03 becomes a link',
    (file: string) => {
      unlinkSync(file);
      symlinkSync('/etc/hostname', file);
    },
    /replaced/,
  ],
  [
    'is another file',
    (file: string) => {
      writeFileSync(`${file}.new`, 'abcd');
      renameSync(`${file}.new`, file);
    },
    /replaced/,
  ],
])('a file that %s after it was collected is refused', async (_name, change, words) => {
  const folder = await makeFolder({ 'f.js': 'abcd' });
  const tree = await collect(folder);
  change(join(folder, 'f.js'));
  await expect(pack(folder, Promise.resolve(tree))).rejects.toMatchObject({
    code: 'SOURCE_CHANGED',
    message: expect.stringMatching(words),
  });
});

test('P04: a parent folder swapped for a link is refused, even onto the very same file', async () => {
  const folder = await makeFolder({ 'd/f.js': 'abcd' });
  const tree = await collect(folder);
  const outside = await makeFolder({});
  renameSync(join(folder, 'd'), join(outside, 'd'));
  symlinkSync(join(outside, 'd'), join(folder, 'd'));
  await expect(pack(folder, Promise.resolve(tree))).rejects.toMatchObject({
    code: 'SOURCE_CHANGED',
    message: expect.stringMatching(/through a link/),
  });
});

test('what was digested is sent, whatever becomes of a small source', async () => {
  const folder = await makeFolder({ 'f.js': 'abcd' });
  const context = await pack(folder);
  writeFileSync(join(folder, 'f.js'), 'ABCD');
  const hash = createHash('sha256');
  for await (const chunk of context.open()) hash.update(chunk as Uint8Array);
  expect(`sha256:${hash.digest('hex')}`).toBe(context.digest);
});

test('the stream fails when a large source changes between digest and upload', async () => {
  const large = 'x'.repeat(9 * 1024 ** 2);
  const folder = await makeFolder({ 'f.js': large });
  const context = await pack(folder);
  writeFileSync(join(folder, 'f.js'), large.replace('x', 'y'));
  await expect(
    (async () => {
      for await (const _ of context.open());
    })(),
  ).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
});
