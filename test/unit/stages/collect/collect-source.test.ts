import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Sandbox } from '../../../../src/model/sandbox.js';
import {
  collectInputs,
  collectSource,
  type CollectLimits,
} from '../../../../src/stages/collect/collect-source.js';
import { createIgnoreRules } from '../../../../src/stages/collect/ignore-rules.js';
import { makeLoaded } from '../../../support/sandbox.js';
import { cleanFolders, makeFolder } from '../../../support/world.js';

cleanFolders();

const limits: CollectLimits = { maxBytes: 1024 ** 2, forbidden: { containing: [], being: [] } };

const collect = (folder: string, sandbox: Partial<Sandbox> = {}, overrides: Partial<CollectLimits> = {}) =>
  collectSource(makeLoaded(join(folder, 'sandbox.yaml'), sandbox), { ...limits, ...overrides });

const paths = async (folder: string, sandbox: Partial<Sandbox> = {}) =>
  (await collect(folder, sandbox)).entries.map((entry) => entry.path);

describe('what goes in', () => {
  test('everything but what sjs and git write themselves, sorted by code unit', async () => {
    const folder = await makeFolder({
      'sandbox.yaml': '',
      'sandbox.lock': '',
      '.sjsignore': '',
      '.git/config': '',
      '.sjs/policy.yaml': '',
      'lib/.git/HEAD': '',
      'b.js': '',
      'B.js2': '',
      'lib/a.js': '',
      'lib/sandbox.yaml': '',
    });
    expect(await paths(folder)).toEqual(['B.js2', 'b.js', 'lib', 'lib/a.js', 'lib/sandbox.yaml']);
  });

  test('a single file is its own source', async () => {
    const folder = await makeFolder({ 'one.js': 'x', 'two.js': 'y' });
    expect(await paths(folder, { source: 'one.js' })).toEqual(['one.js']);
  });

  test('what Python compiled stays out, unless it is named', async () => {
    const folder = await makeFolder({
      'main.py': '',
      'lib/__pycache__/a.cpython-311.pyc': '',
      'lib/a.py': '',
    });
    expect(await paths(folder)).toContain('lib/__pycache__/a.cpython-311.pyc');
    const language = 'python';
    expect(await paths(folder, { language })).toEqual(['lib', 'lib/a.py', 'main.py']);
    expect(await paths(folder, { language, exclude: ['!lib/__pycache__/a.cpython-311.pyc'] })).toEqual([
      'lib',
      'lib/__pycache__',
      'lib/__pycache__/a.cpython-311.pyc',
      'lib/a.py',
      'main.py',
    ]);
  });

  test('the folder that packages of a lockfile are laid into stays out', async () => {
    const folder = await makeFolder({
      'node_modules/a/index.js': '',
      'lib/node_modules/b.js': '',
      'site-packages/c.py': '',
    });
    const dependencies = { lockfile: 'x', omit: [] };
    expect(await paths(folder, { dependencies })).toEqual(['lib', 'site-packages', 'site-packages/c.py']);
    expect(await paths(folder, { dependencies, language: 'python' })).toEqual([
      ...['lib', 'lib/node_modules', 'lib/node_modules/b.js'],
      ...['node_modules', 'node_modules/a', 'node_modules/a/index.js'],
    ]);
  });

  test('exclude and .sjsignore leave out as .dockerignore does, with exceptions', async () => {
    const folder = await makeFolder({
      '.sjsignore': '# no\ndocs\n!docs/keep.md\n',
      'docs/a.md': '',
      'docs/keep.md': '',
      'x.test.js': '',
      'x.js': '',
    });
    expect(await paths(folder, { exclude: ['**/*.test.js'] })).toEqual(['docs', 'docs/keep.md', 'x.js']);
  });

  test.each([
    '.env',
    '.env.local',
    '.npmrc',
    'id_rsa',
    'deep/.aws/credentials',
    '.docker/config.json',
    'tls/server.pem',
    'a.KEY',
    '.ssh/config',
    '.git-credentials',
  ])('P14: %s stays out and is listed, unless it is named', async (name) => {
    const folder = await makeFolder({ 'index.js': '', [name]: 'secret' });
    const tree = await collect(folder);
    expect(tree.entries.map((entry) => entry.path)).not.toContain(name);
    expect(tree.withheld.some((path) => name === path || name.startsWith(`${path}/`))).toBe(true);
    const named = await collect(folder, { exclude: [`!${name}`] });
    expect(named.entries.map((entry) => entry.path)).toContain(name);
    expect(named.withheld).toEqual([]);
  });

  test('links inside the tree are kept as links; execute bits are seen', async () => {
    const folder = await makeFolder({ 'run.sh': '', 'lib/x.js': '' });
    chmodSync(join(folder, 'run.sh'), 0o4755);
    symlinkSync('../run.sh', join(folder, 'lib/link'));
    const { entries } = await collect(folder);
    expect(entries).toContainEqual({ kind: 'symlink', path: 'lib/link', target: '../run.sh' });
    expect(entries).toContainEqual(expect.objectContaining({ path: 'run.sh', executable: true }));
  });
});

describe('what is refused, with the name', () => {
  const refused = (
    folder: string,
    code: string,
    words: string | RegExp,
    sandbox: Partial<Sandbox> = {},
    overrides: Partial<CollectLimits> = {},
  ) =>
    expect(collect(folder, sandbox, overrides)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(words),
    });

  test.each([
    ['P01 absolute', 'x', '/etc/shadow', /x -> \/etc\/shadow is absolute/],
    ['P02 leaving', 'x', '../../.ssh/id_rsa', /leaves the source/],
    ['P02 to the root', 'x', '/', /absolute/],
    ['P02 loop', 'x', 'x', /never ends/],
    ['leaving through itself', 'x', 'a/../../y', /leaves the source/],
  ])('%s link', async (_name, link, target, words) => {
    const folder = await makeFolder({ 'a/f': '' });
    symlinkSync(target, join(folder, link));
    await refused(folder, 'SOURCE_LINK', words);
  });

  test('P02: chains and loops of links end, and leave nowhere', async () => {
    const folder = await makeFolder({ 'deep/f': '' });
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('deep/../..', join(folder, 'b'));
    await refused(folder, 'SOURCE_LINK', /leaves the source/);
    const loop = await makeFolder({});
    symlinkSync('two', join(loop, 'one'));
    symlinkSync('one', join(loop, 'two'));
    await refused(loop, 'SOURCE_LINK', /never ends/);
  });

  test('a link through a folder link that only looks as if it stayed inside', async () => {
    const folder = await makeFolder({ 'a/f': '', 'p/q/f': '' });
    symlinkSync('../../a', join(folder, 'p/q/s'));
    symlinkSync('s/../../x', join(folder, 'p/q/l'));
    await refused(folder, 'SOURCE_LINK', /leaves the source/);
  });

  test('hard links to outside; those inside are files', async () => {
    const [folder, outside] = [await makeFolder({ a: 'x' }), await makeFolder({ secret: 's' })];
    linkSync(join(folder, 'a'), join(folder, 'b'));
    expect(await paths(folder)).toEqual(['a', 'b']);
    linkSync(join(outside, 'secret'), join(folder, 'c'));
    await refused(folder, 'SOURCE_LINK', /c has 1 more hard links outside/);
  });

  test('P06: pipes and sockets, without opening them', async () => {
    const pipe = await makeFolder({});
    execFileSync('mkfifo', [join(pipe, 'pipe')]);
    await refused(pipe, 'SOURCE_SPECIAL_FILE', /pipe/);
    const socket = await makeFolder({});
    const server = createServer().listen(join(socket, 's'));
    await refused(socket, 'SOURCE_SPECIAL_FILE', /s is a device/);
    server.close();
  });

  test('P07: a file of 1 TiB, by its size alone', async () => {
    const folder = await makeFolder({ big: '' });
    truncateSync(join(folder, 'big'), 1024 ** 4);
    await refused(folder, 'SOURCE_TOO_LARGE', /larger than 1Mi: passed at big \(1Ti\)/);
  });

  test('P08: too deep, too long, too many', async () => {
    const deep = await makeFolder({});
    mkdirSync(join(deep, 'd/'.repeat(70)), { recursive: true });
    await refused(deep, 'SOURCE_TOO_DEEP', /64 folders deep/);
    const long = await makeFolder({});
    mkdirSync(join(long, `${'n'.repeat(200)}/`.repeat(6)), { recursive: true });
    await refused(long, 'SOURCE_NAME', /longer than 1024 bytes/);
  });

  test('P08: too many files in one folder', async () => {
    const folder = await makeFolder({});
    execFileSync('sh', ['-c', 'seq 50001 | xargs touch'], { cwd: folder });
    await refused(folder, 'SOURCE_TOO_MANY_FILES', /50001 entries; 50000 are allowed/);
  });

  test('P19: what cannot be read, instead of a part of it', async () => {
    const folder = await makeFolder({ 'closed/x': '' });
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'closed'), 0o700);
    if (process.getuid?.() === 0) process.seteuid?.(65534);
    else chmodSync(join(folder, 'closed'), 0);
    try {
      await refused(folder, 'SOURCE_UNREADABLE', /closed cannot be read: EACCES/);
    } finally {
      if (process.getuid?.() === 0) process.seteuid?.(0);
      chmodSync(join(folder, 'closed'), 0o700);
    }
  });

  test.each(['a\nb', 'a\u001b[31m', 'a\u202eb', 'a\\b', '\ufeffa'])('P09: the name %j', async (name) => {
    const folder = await makeFolder({});
    writeFileSync(join(folder, name), '');
    const error = await collect(folder).catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ code: 'SOURCE_NAME' });
    // eslint-disable-next-line no-control-regex
    expect((error as Error).message).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  test.each(['.wh.index.js', '.wh..wh..opq', 'lib/.wh.node_modules', '.wh.lib/x.js'])(
    'P09: %s, which removes another file where the image is unpacked',
    async (name) => {
      await refused(await makeFolder({ [name]: '' }), 'SOURCE_NAME', /would remove a file/);
      await expect(collect(await makeFolder({ [name.replace('.wh.', '.who.')]: '' }))).resolves.toBeDefined();
    },
  );

  test('P09: a name that is not UTF-8', async () => {
    const folder = await makeFolder({});
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), '');
    await refused(folder, 'SOURCE_NAME', /not UTF-8: "\\xff\\xfe"/);
  });

  test('P09: names that differ only in case or Unicode form', async () => {
    await refused(await makeFolder({ 'a.js': '', 'A.js': '' }), 'SOURCE_COLLISION', /A.js and a.js/);
    await refused(await makeFolder({ '\u00e9': '', 'e\u0301': '' }), 'SOURCE_COLLISION', /differ only/);
  });

  test('P16: the root, the home folder, and what contains the state of sjs', async () => {
    const folder = await makeFolder({ 'state/x': '' });
    await refused(
      folder,
      'SOURCE_ROOT',
      /contains .*state/,
      {},
      { forbidden: { containing: [join(folder, 'state')], being: [] } },
    );
    await refused(
      folder,
      'SOURCE_ROOT',
      /as a whole/,
      {},
      { forbidden: { containing: [], being: [folder] } },
    );
    await expect(collectSource(makeLoaded('/sandbox.yaml'), limits)).rejects.toMatchObject({
      code: 'SOURCE_ROOT',
    });
  });

  test('a source that is not there, or leads outside through a link', async () => {
    const folder = await makeFolder({});
    await refused(folder, 'SOURCE_NOT_FOUND', /nowhere does not exist/, { source: 'nowhere' });
    symlinkSync('/etc', join(folder, 'etc'));
    await refused(folder, 'SOURCE_OUTSIDE', /leads outside/, { source: 'etc' });
  });
});

test('a pattern that would take for ever to match is refused', () => {
  expect(() => createIgnoreRules('*a*a*a*a*a*a*a*b\n', [])).toThrow(
    expect.objectContaining({
      code: 'SANDBOX_INVALID',
      message: expect.stringContaining('wildcards') as unknown as string,
    }),
  );
  expect(createIgnoreRules('**/build/**/*.js\n', []).excludes('a/build/b/c.js')).toBe(true);
});

describe('inputs', () => {
  const inputs = async (folder: string, declared: readonly string[], given: readonly string[] = []) =>
    collectInputs(
      { ...makeLoaded(join(folder, 'sandbox.yaml'), { inputs: declared }), inputs: given },
      limits.maxBytes,
    );

  test('are those of sandbox.yaml, beside it or below, and those of the run, anywhere', async () => {
    const [folder, other] = [await makeFolder({ 'd/a.csv': 'aa', '.env': '' }), await makeFolder({ b: '' })];
    const trees = await inputs(folder, ['d/a.csv', '.env'], [join(other, 'b')]);
    expect(trees.map(({ entries }) => entries.map(({ path }) => path))).toEqual([['a.csv'], ['.env'], ['b']]);
  });

  test.each([
    ['SOURCE_NOT_FOUND', 'none'],
    ['SOURCE_SPECIAL_FILE', '.'],
    ['SOURCE_SPECIAL_FILE', 'link'],
    ['SOURCE_OUTSIDE', 'out/secret'],
  ])('%s: %s, with its place in sandbox.yaml', async (code, path) => {
    const [folder, other] = [await makeFolder({ data: '' }), await makeFolder({ secret: '' })];
    symlinkSync(join(other, 'secret'), join(folder, 'link'));
    symlinkSync(other, join(folder, 'out'));
    await expect(inputs(folder, ['data', path])).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`input ${path} `),
      location: { path: 'spec.inputs.1' },
    });
  });

  test('have names of their own, and a size together', async () => {
    const folder = await makeFolder({ 'a/x': '', 'b/x': '', 'b/X': '', big: '', large: '' });
    for (const big of ['big', 'large']) truncateSync(join(folder, big), limits.maxBytes / 2 + 1);
    await expect(inputs(folder, ['a/x', 'b/x'])).rejects.toMatchObject({ code: 'USAGE' });
    await expect(inputs(folder, ['a/x', 'b/X'])).rejects.toMatchObject({ code: 'SOURCE_COLLISION' });
    expect(await inputs(folder, ['big'])).toHaveLength(1);
    await expect(inputs(folder, ['big', 'large'])).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE' });
  });
});
