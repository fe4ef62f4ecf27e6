import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Grants } from '../../../../src/model/grants.js';
import { exportOf, parseStart } from '../../../../src/stages/load/find-program.js';
import { loadCode, loadPath } from '../../../../src/stages/load/load-code.js';
import { describeImports } from '../../../../src/stages/load/missing-imports.js';
import { cleanFolders, makeFolder, sandboxYaml } from '../../../support/world.js';

cleanFolders();

const NOTHING: Grants = {
  ...{ env: {}, secrets: [], command: null, inputs: [], out: false, limits: {} },
  ...{ ports: [], egress: [], language: null },
};

const load = async (files: Record<string, string>, path = '', grants: Partial<Grants> = {}) => {
  const folder = await makeFolder(files);
  const { loaded, remarks } = await loadPath(join(folder, path), { ...NOTHING, ...grants });
  return { folder, loaded, remarks, sandbox: loaded.sandbox };
};

test.each([
  [{}, 600_000],
  [{ timeoutMs: 3000 }, 3000],
])('a port of a sandbox.yaml without a timeout, and limits %j: %d ms', async (limits, timeoutMs) => {
  const files = { 'sandbox.yaml': sandboxYaml('job'), 'index.js': '' };
  const { sandbox } = await load(files, '', { ports: ['3000:3005'], limits });
  expect(sandbox.resources).toMatchObject({ timeoutMs });
  const stated = {
    ...files,
    'sandbox.yaml': sandboxYaml('job', '  resources: { timeout: 7s, pids: 9 }\n'),
  };
  const { sandbox: kept } = await load(stated, '', { ports: ['3000:3005'], limits });
  expect(kept.resources).toMatchObject({ timeoutMs: 7000, pids: 9 });
});

describe('a file', () => {
  test('is sealed alone, under its own name, with the defaults', async () => {
    const { loaded, sandbox, folder } = await load({ 'My Job.mjs': '', 'other.js': '' }, 'My Job.mjs');
    expect(sandbox).toMatchObject({
      name: 'my-job',
      version: null,
      base: null,
      source: 'My Job.mjs',
      command: ['node', '/app/My Job.mjs'],
      env: {},
      resources: {},
    });
    expect(loaded).toMatchObject({ directory: folder, isAdHoc: true });
  });

  test('can be reached through a link, and keeps the name of that', async () => {
    const folder = await makeFolder({ 'real/a.js': '' });
    await symlink(join(folder, 'real/a.js'), join(folder, 'link.js'));
    const { loaded } = await loadPath(join(folder, 'link.js'), NOTHING);
    expect(loaded.sandbox).toMatchObject({ name: 'link', source: 'a.js' });
    expect(loaded.directory).toBe(join(folder, 'real'));
  });

  test('beside a sandbox.yaml is still alone, and that is said', async () => {
    const files = { 'sandbox.yaml': sandboxYaml('job', '  env: { A: "1" }\n'), 'index.js': '' };
    const { sandbox, remarks } = await load(files, 'index.js');
    expect(sandbox).toMatchObject({ name: 'index', env: {} });
    expect(remarks.join()).toContain('sandbox.yaml beside index.js is not used');
  });

  test('that imports what is not sealed with it is remarked on', async () => {
    const { remarks } = await load({ 'a.js': "import x from './x.js';\nimport fs from 'fs';" }, 'a.js');
    expect(remarks.join()).toContain('a.js imports ./x.js');
  });

  test.each([
    ['a.rb', 'x', /ends in \.rb/],
    ['a.json', '{}', /ends in \.json/],
    ['a.tsx', '', /ends in \.tsx/],
    ['a', '\0ELF', /is binary/],
  ])('%s that is no program is refused', async (name, text, message) => {
    await expect(load({ [name]: text }, name)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message),
    });
  });

  test('that is not there is no target; a device is no source', async () => {
    await expect(load({}, 'gone.js')).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND' });
    await expect(loadPath('/dev/null', NOTHING)).rejects.toMatchObject({ code: 'SOURCE_SPECIAL_FILE' });
    await expect(loadPath('/', NOTHING)).rejects.toMatchObject({ code: 'SOURCE_ROOT' });
  });
});

describe('a folder', () => {
  test('is what its sandbox.yaml says, and its own lock is used', async () => {
    const { loaded, sandbox } = await load({
      'sandbox.yaml': sandboxYaml('job', '  args: [a]\n'),
      'package.json': '{"main":"x.js"}',
    });
    expect(sandbox).toMatchObject({ name: 'job', command: ['node', '/app/index.js'], args: ['a'] });
    expect(loaded.isAdHoc).toBeUndefined();
  });

  test.each([
    ['{"scripts":{"start":"node bin/go.js a --b=1"},"main":"m.js"}', ['bin/go.js', 'a', '--b=1']],
    ['{"scripts":{"start":"node bin/go"}}', ['bin/go.js']],
    ['{"scripts":{"start":"node gone.js"},"main":"m.js"}', ['m.js']],
    ['{"scripts":{"start":"A=1 node bin/go.js"},"main":"m.js"}', ['m.js']],
    ['{"scripts":{"start":"node --inspect bin/go.js"},"main":"m.js"}', ['m.js']],
    ['{"exports":"./e.mjs","main":"m.js"}', ['e.mjs']],
    ['{"exports":{".":{"require":"./m.js","import":"./e.mjs"}}}', ['e.mjs']],
    ['{"main":"./lib/"}', ['lib/index.js']],
    ['{"main":"gone"}', ['index.js']],
    ['{}', ['index.js']],
  ])('without one is the program of its package.json %s', async (json, [file = '', ...args]) => {
    const { sandbox } = await load({
      'package.json': json,
      'bin/go.js': '',
      'm.js': '',
      'e.mjs': '',
      'lib/index.js': '',
      'index.js': '',
    });
    expect([...sandbox.command, ...sandbox.args]).toEqual(['node', `/app/${file}`, ...args]);
    expect(sandbox.source).toBe('.');
  });

  test('that says more in scripts.start than sjs runs is remarked on', async () => {
    const { remarks } = await load({ 'package.json': '{"scripts":{"start":"next start"}}', 'index.js': '' });
    expect(remarks.join()).toContain('scripts.start is not run: "next start"');
  });

  test('without a program is refused, with what was looked for', async () => {
    await expect(load({ 'package.json': '{"main":"gone.js"}' })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/has no program.*package.json names gone.js, which is not there/),
      next: expect.stringContaining('--cmd'),
    });
    await expect(load({ 'package.json': '{' })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(load({ 'package.json': '{"main":"../x.js"}', '../x.js': '' })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

describe('what a run grants', () => {
  const grants = {
    env: { A: 'é"\\\u{1f600}' },
    secrets: ['TOKEN'],
    command: ['node', '/app/a.js', 'x'],
    out: true,
  };

  test('becomes part of a file’s sandbox, limits too', async () => {
    const limits = { memoryBytes: 64 * 1024 ** 2, milliCpu: 250, timeoutMs: 1500, outputBytes: 7 };
    const { sandbox } = await load({ 'a.js': '' }, 'a.js', { ...grants, limits });
    expect(sandbox).toMatchObject({
      env: grants.env,
      secrets: ['TOKEN'],
      command: grants.command,
      filesystem: { outBytes: 64 * 1024 ** 2 },
      resources: limits,
    });
  });

  test('is added to a sandbox.yaml, whose limits stay', async () => {
    const yaml = sandboxYaml(
      'job',
      '  env: { B: "2" }\n  secrets: [OLD]\n  filesystem: { out: 4Mi }\n  resources: { memory: 32Mi }\n',
    );
    const files = { 'sandbox.yaml': yaml, 'a.js': '' };
    const { sandbox, loaded } = await load(files, '', { ...grants, limits: { memoryBytes: 1024 ** 3 } });
    expect(sandbox).toMatchObject({
      name: 'job',
      env: { ...grants.env, B: '2' },
      secrets: ['OLD', 'TOKEN'],
      command: grants.command,
      filesystem: { outBytes: 4 * 1024 ** 2 },
      resources: { memoryBytes: 32 * 1024 ** 2 },
    });
    const plain = await load(files);
    expect(loaded.digest).not.toBe(plain.loaded.digest);
    expect((await load(files, '', { secrets: ['OLD'] })).loaded.digest).toBe(plain.loaded.digest);
  });

  test.each([
    [{ env: { LD_PRELOAD: 'x' } }, 'ENV_REFUSED', /^--env LD_PRELOAD: this name steers/],
    [{ env: { A: 'a\nb' } }, 'ENV_REFUSED', /^--env A: .*control characters/],
    [{ secrets: ['PATH'] }, 'USAGE', /^--secret: /],
    [{ command: ['node', '--inspect'] }, 'USAGE', /^--cmd: /],
    [{ limits: { memoryBytes: 1 } }, 'USAGE', /^--memory: /],
    [{ limits: { memoryBytes: 1, pids: 0 } }, 'USAGE', /^2 flags cannot be taken/],
  ])('is judged as a sandbox.yaml is, in the words of the flag: %j', async (given, code, message) => {
    await expect(load({ 'a.js': '' }, 'a.js', given)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      next: expect.any(String),
    });
  });
});

test('code that is in no file has the name of where it came from', async () => {
  const code = Buffer.from('1');
  const { loaded } = await loadCode({ code, name: 'stdin' }, '/somewhere', NOTHING);
  expect(loaded).toMatchObject({ code, directory: '/somewhere', isAdHoc: true });
  expect(loaded.sandbox).toMatchObject({ name: 'stdin', command: ['node', '/app/stdin.js'] });
});

test.each([
  ['node a.js', { file: 'a.js', args: [] }],
  ['  node   ./a.js  x ', { file: './a.js', args: ['x'] }],
  ['node a.js && rm -rf /', null],
  ['node a.js $HOME', null],
  ['node "a b.js"', null],
  ['nodemon a.js', null],
  ['node', null],
  [7, null],
])('scripts.start %j is %j', (start, expected) => {
  expect(parseStart(start)).toEqual(expected);
});

test.each([
  ['./a.js', './a.js'],
  [{ default: './a.js' }, './a.js'],
  [{ browser: './b.js', node: { import: './a.mjs', require: './a.cjs' } }, './a.mjs'],
  [{ '.': './a.js', './x': './x.js' }, './a.js'],
  [{ './x': './x.js' }, undefined],
  [[{ deno: './d.js' }, './a.js'], './a.js'],
  [{ require: './a.cjs' }, './a.cjs'],
  [null, null],
])('exports %j lead to %j', (exports, expected) => {
  expect(exportOf(exports)).toEqual(expected);
});

test('exports nested without end name nothing, and end nothing', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"node":', '}'],
  ] as const) {
    const exports: unknown = JSON.parse(`${open.repeat(50_000)}"./a.js"${close.repeat(50_000)}`);
    expect(exportOf(exports)).toBeUndefined();
  }
});

test.each([
  ['import "./a.js"', ['./a.js']],
  ["import a, { b } from 'c'; export * from './d.js'", ['c', './d.js']],
  ['const x = require("x"); await import("y")', ['x', 'y']],
  ['import "node:fs"; require("path")', []],
  ['console.log("from here")', []],
  ['console.log("exports import", up(process.argv[2] ?? "x"))', []],
])('%j imports %j', (code, names) => {
  const [remark = ''] = describeImports(code, 'it');
  expect(remark).toBe(
    names.length === 0
      ? ''
      : `it imports ${names.join(', ')}, and is sealed alone: give its folder to have all of it`,
  );
});

test('what sjs writes of a file by itself fits the schema, which it is not held against', async () => {
  const names = ['a.js', 'A b.mjs', '-x.cjs', 'é\u{1f600}.ts', `${'n'.repeat(200)}.js`, '"q\'.js', '{.js'];
  const folder = await makeFolder(Object.fromEntries(names.map((name) => [name, ''])));
  const sandboxOf = async (name: string, limits: Grants['limits']) =>
    (await loadPath(join(folder, name), { ...NOTHING, out: true, limits })).loaded.sandbox;
  for (const name of names) {
    // With a limit the schema is asked.
    const asked = await sandboxOf(name, { pids: 64 });
    expect(await sandboxOf(name, {})).toEqual({ ...asked, resources: {} });
  }
});

test.each(['a\u0001.js', 'a\\b.js', 'a\u202e.js'])('a file called %j is no source', async (name) => {
  await expect(load({ [name]: '' }, name)).rejects.toMatchObject({ code: 'USAGE' });
});

describe('another language than Node', () => {
  test.each([
    ['hello.py', {}, 'python', ['python3', '/app/hello.py']],
    ['hello.deno.ts', { language: 'deno' }, 'deno', ['deno', '/app/hello.deno.ts']],
    ['hello.bun.tsx', { language: 'bun' }, 'bun', ['bun', '/app/hello.bun.tsx']],
    ['hello.ts', {}, 'node', ['node', '/app/hello.ts']],
    ['hello', { language: 'python' }, 'python', ['python3', '/app/hello']],
  ] as const)('%s with %j is %s', async (name, grants, language, command) => {
    const { sandbox } = await load({ [name]: '' }, name, grants);
    expect(sandbox).toMatchObject({ language, command });
  });

  test.each([
    ['hello.py', { language: 'deno' }, 'a program of Deno ends in .js'],
    ['hello.tsx', {}, '.py'],
  ] as const)('%s with %j is refused', async (name, grants, next) => {
    await expect(load({ [name]: '' }, name, grants)).rejects.toMatchObject({
      code: 'USAGE',
      next: expect.stringContaining(next),
    });
  });

  test('code in no file has the ending of its language', async () => {
    const code = { code: Buffer.from('print(1)'), name: 'eval' } as const;
    const { loaded } = await loadCode(code, '/work', { ...NOTHING, language: 'python' });
    expect(loaded.sandbox).toMatchObject({ source: 'eval.py', command: ['python3', '/app/eval.py'] });
  });

  test.each([
    [{ 'main.py': '' }, {}, 'python', 'main.py'],
    [{ 'main.py': '', '__main__.py': '' }, {}, 'python', '__main__.py'],
    [{ 'main.py': '', 'index.js': '' }, {}, 'node', 'index.js'],
    [{ 'main.py': '', 'index.js': '' }, { language: 'python' }, 'python', 'main.py'],
    [{ 'index.ts': '' }, { language: 'bun' }, 'bun', 'index.ts'],
  ] as const)('a folder with %j and %j is %s', async (files, grants, language, entrypoint) => {
    const { sandbox } = await load(files, '', grants);
    expect(sandbox.language).toBe(language);
    expect(sandbox.command[1]).toBe(`/app/${entrypoint}`);
  });

  test('a folder without a program in it is refused by the name that was looked for', async () => {
    await expect(load({ 'x.js': '' }, '', { language: 'python' })).rejects.toThrow('no __main__.py');
  });

  test('--language says more than sandbox.yaml', async () => {
    const files = { 'sandbox.yaml': sandboxYaml('job'), 'index.js': '' };
    const { sandbox } = await load(files, '', { language: 'bun' });
    expect(sandbox).toMatchObject({ language: 'bun', command: ['bun', '/app/index.js'] });
  });
});
