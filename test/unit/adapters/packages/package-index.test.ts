import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createPackageIndex } from '../../../../src/adapters/packages/package-index.js';
import { loadPipIndex } from '../../../../src/adapters/packages/pip-config.js';
import type { LockedWheel } from '../../../../src/model/locked-package.js';
import {
  makeWheel,
  sha256Of,
  startIndex,
  type TestIndex,
  type Wheel,
} from '../../../support/package-index.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();
let server: TestIndex;
let wheel: Wheel;
beforeAll(async () => {
  server = await startIndex();
  wheel = await makeWheel('a-b', '1.0', { 'a.py': '' });
  server.add('a-b', wheel);
});
afterEach(() => {
  server.answer = null;
  server.isJson = false;
});
afterAll(() => server.close());

async function make(url = server.url) {
  const warnings: string[] = [];
  const cacheFolder = await makeFolder();
  const index = createPackageIndex({
    env: { PIP_INDEX_URL: url },
    home: await makeFolder(),
    cacheFolder,
    onWarning: (message) => warnings.push(message),
  });
  return { index, warnings, cacheFolder };
}

const integrity = (): string => `sha256-${Buffer.from(sha256Of(wheel), 'hex').toString('base64')}`;
const locked = (change: Partial<LockedWheel> = {}): LockedWheel => ({
  ...{ location: 'site-packages/a-b', name: 'a-b', version: '1.0', integrity: integrity(), bundledIn: null },
  ...{ extras: [], stem: 'a_b-1.0', url: new URL(`/files/${wheel.file}`, server.url).href },
  ...change,
});

describe('the list of a project', () => {
  test.each([true, false])('is read, as JSON: %s', async (isJson) => {
    server.isJson = isJson;
    const { index } = await make();
    expect(await index.list('a-b')).toEqual([
      { name: 'a_b-1.0-py3-none-any.whl', url: locked().url, integrity: integrity() },
    ]);
    expect(server.seen.at(-1)).toBe('/simple/a-b/');
  });

  test('has what a page says in any form, and nothing without a SHA-256', async () => {
    const hex = sha256Of(wheel);
    server.answer = (_request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(
        `<A data-yanked HREF="/x/one.whl#sha256=${hex}">one<b>.whl</b></A><a href='two.whl#md5=00'>two.whl</a>` +
          `<a href="https://files.example.com/a&amp;b.whl#sha256=${hex}">\n a&amp;b.whl </a><a>no</a><script>"<a href='x'>"</script>`,
      );
    };
    const { index } = await make();
    expect(await index.list('a-b')).toMatchObject([
      { name: 'one.whl', url: `${new URL(server.url).origin}/x/one.whl` },
      { name: 'a&b.whl', url: 'https://files.example.com/a&b.whl' },
    ]);
  });

  test('is empty for a project that the index does not have', async () => {
    expect(await (await make()).index.list('nothing')).toEqual([]);
  });

  test.each([
    [401, 'wants other credentials'],
    [500, 'answers with 500'],
  ])('fails with %d', async (status, message) => {
    server.answer = (_request, response) => void response.writeHead(status).end();
    await expect((await make()).index.list('a-b')).rejects.toMatchObject({
      code: 'PACKAGE_UNAVAILABLE',
      message: expect.stringContaining(message),
    });
  });

  test('fails for what is no list', async () => {
    server.answer = (_request, response) => {
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      response.end('{"files": 7}');
    };
    await expect((await make()).index.list('a-b')).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
  });
});

test.each([
  ['one link that has a million hashes', `<a href="${'#'.repeat(1024 ** 2)}">x</a>`, []],
  ['a page that goes deeper and deeper', '<b>'.repeat(1024 ** 2), null],
])('a list takes no longer than its length asks for: %s', async (_name, page, found) => {
  server.answer = (_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(page);
  };
  const listing = (await make()).index.list('a-b');
  if (found) expect(await listing).toEqual(found);
  else await expect(listing).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
});

test('name and password go to the index alone', async () => {
  const other = await startIndex();
  try {
    const { index } = await make(server.url.replace('://', '://me:p%40ss@'));
    await index.list('a-b');
    expect(server.authorizations.at(-1)).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
    other.add('a-b', wheel);
    await index.fetch(locked({ url: new URL(`/files/${wheel.file}`, other.url).href }));
    expect(other.authorizations).toEqual([undefined]);
  } finally {
    await other.close();
  }
});

test('a wheel is fetched once, checked each time, and fetched again when somebody changed it', async () => {
  const { index, warnings, cacheFolder } = await make();
  const before = server.seen.length;
  await index.fetch(locked());
  await index.fetch(locked());
  expect(server.seen).toHaveLength(before + 1);
  expect((await buffer(index.open(locked()))).equals(wheel.bytes)).toBe(true);
  const [file = ''] = (await readdir(cacheFolder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  await writeFile(file, 'other');
  await expect(buffer(index.open(locked()))).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  await index.fetch(locked());
  expect(warnings).toEqual([expect.stringContaining('was changed')]);
  expect(server.seen).toHaveLength(before + 2);
});

test('what is not in the cache any more is asked for where the index has it now', async () => {
  const { index } = await make();
  await index.fetch(locked({ url: null }));
  expect((await buffer(index.open(locked()))).equals(wheel.bytes)).toBe(true);
  await expect(
    index.fetch(locked({ url: null, integrity: `sha256-${'A'.repeat(43)}=` })),
  ).rejects.toMatchObject({
    code: 'PACKAGE_UNAVAILABLE',
    message: expect.stringContaining('the index does not have it any more'),
  });
});

test.each([
  ['to another path', (url: URL) => `/moved${url.pathname}`, 2],
  ['in a circle', (url: URL) => url.href, null],
  ['to where there is no https', () => 'http://index.example.com/simple/a-b/', null],
])('a redirect %s', async (_name, target, expected) => {
  const { index } = await make(server.url.replace('://', '://me:pass@'));
  const before = server.seen.length;
  server.answer = (request, response) => {
    const url = new URL(request.url ?? '', server.url);
    if (!url.pathname.startsWith('/moved'))
      return void response.writeHead(302, { location: target(url) }).end();
    response.setHeader('content-type', 'text/html');
    response.end('');
  };
  const listing = index.list('a-b');
  if (expected === null) await expect(listing).rejects.toMatchObject({ code: 'PACKAGE_UNAVAILABLE' });
  else expect([await listing, server.seen.length - before]).toEqual([[], expected]);
});

test('other bytes than those of the hash are not kept', async () => {
  const { index, cacheFolder } = await make();
  server.answer = (_request, response) => void response.end('evil');
  await expect(index.fetch(locked())).rejects.toMatchObject({ code: 'PACKAGE_MISMATCH' });
  const left = await readdir(cacheFolder, { recursive: true, withFileTypes: true });
  expect(left.filter((entry) => entry.isFile())).toEqual([]);
});

test('nothing is fetched without https, but from this machine', async () => {
  const { index } = await make();
  await expect(index.fetch(locked({ url: 'http://files.example.com/a.whl' }))).rejects.toMatchObject({
    code: 'PACKAGE_UNAVAILABLE',
    message: expect.stringContaining('which has no https'),
  });
});

describe('the configuration of pip', () => {
  const ini = '; mine\n[global]\ntimeout = 60\nindex-url = https://global.example.com/simple\n';
  async function load(files: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}) {
    const home = await makeFolder();
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(home, path, '..'), { recursive: true });
      await writeFile(join(home, path), text);
    }
    const own = Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, value?.replace('~', home)]),
    );
    return loadPipIndex({ XDG_CONFIG_HOME: '', ...own }, home);
  }

  test.each<[string, Record<string, string>, NodeJS.ProcessEnv, string]>([
    [
      'the environment',
      { '.config/pip/pip.conf': ini },
      { PIP_INDEX_URL: 'https://env.example.com/x' },
      'https://env.example.com/x/',
    ],
    ['the file of the user', { '.config/pip/pip.conf': ini }, {}, 'https://global.example.com/simple/'],
    ['the old file of the user', { '.pip/pip.conf': ini }, {}, 'https://global.example.com/simple/'],
    [
      'the file that is named',
      { 'own.conf': ini },
      { PIP_CONFIG_FILE: '~/own.conf' },
      'https://global.example.com/simple/',
    ],
    [
      'the section of the command',
      { '.config/pip/pip.conf': `${ini}[install]\nindex_url = https://install.example.com/\n` },
      {},
      'https://install.example.com/',
    ],
    [
      'another place for files',
      { 'x/pip/pip.conf': ini },
      { XDG_CONFIG_HOME: '~/x' },
      'https://global.example.com/simple/',
    ],
  ])('by %s', async (_name, files, env, expected) => {
    expect((await load(files, env))?.url.href).toBe(expected);
  });

  test('of none there is none, as when /dev/null is named', async () => {
    expect(await load({ '.config/pip/pip.conf': ini }, { PIP_CONFIG_FILE: '/dev/null' })).toBeNull();
  });

  test.each([
    'not an address',
    'http://index.example.com/simple',
    'file:///srv/simple',
    'https://ci:pa/ss@index.example.com/simple',
    'https://ci:100%secret@index.example.com/simple',
  ])('%s is refused', async (url) => {
    await expect(load({}, { PIP_INDEX_URL: url })).rejects.toMatchObject({
      code: 'PACKAGE_UNAVAILABLE',
      message: expect.not.stringMatching(/ss@|secret/),
    });
  });
});

test('without one nothing can be had, and the way to name one is told', async () => {
  const index = createPackageIndex({
    env: { PIP_CONFIG_FILE: '/dev/null' },
    home: await makeFolder(),
    cacheFolder: await makeFolder(),
    onWarning: () => undefined,
  });
  await expect(index.list('a')).rejects.toMatchObject({
    code: 'PACKAGE_UNAVAILABLE',
    message: expect.stringContaining('no package index is configured'),
    next: expect.stringContaining('PIP_INDEX_URL'),
  });
});
