import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanFolders, makeFolder, runSjs, sandboxYaml } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);
const tags = new Set<string>();
let home: string;
let source: string;
let first: Built;

interface Built {
  readonly seal: string;
  readonly tag: string;
  readonly cached: boolean;
}

beforeAll(async () => {
  home = await makeFolder();
  source = await makeSource();
  first = await build(home, source);
});
afterAll(async () => {
  await execute('docker', ['image', 'rm', '-f', ...tags]).catch(() => undefined);
});

/** A source with everything that has to come back: modes, links, empty folders, names that are usually left out. */
async function makeSource(): Promise<string> {
  const folder = await makeFolder({
    'sandbox.yaml': `apiVersion: sjs/v1
kind: Sandbox
metadata: { name: kept, version: 1.2.3-rc.1 }
spec:
  language: node
  source: code
  exclude: ['*.skip', '!.env', '!.ssh/config']
  entrypoint: index.js
  args: ['a b', '--', '"quoted" $HOME', '- no', 'null']
  env: { GREETING: 'grüß: "dich" #1', EMPTY: '', YES: 'yes', N: '1' }
  secrets: [TOKEN_B, TOKEN_A]
  permissions: { worker: true }
  user: 12345:23456
  filesystem: { tmp: 1000000, out: 3Mi }
  resources: { cpu: 250m, memory: 100000000, pids: 33, files: 99, timeout: 61001ms, output: 12345 }
`,
    'code/index.js': 'console.log(process.argv.slice(2).join());\n',
    'code/.env': 'A=1\n',
    'code/.ssh/config': 'Host x\n',
    'code/x.skip': 'not sealed\n',
    'code/deep/er/ü ß.txt': 'text\n',
    'code/binary': '\u0000\u0001',
  });
  await mkdir(join(folder, 'code/empty'));
  await chmod(join(folder, 'code/binary'), 0o755);
  await symlink('../deep/er', join(folder, 'code/empty/link'));
  await mkdir(join(folder, 'code/hollow'));
  return folder;
}

async function build(place: string, folder: string): Promise<Built> {
  const built = JSON.parse(await sjs(place, 'build', folder, '--json')) as Built;
  tags.add(built.tag);
  return built;
}

async function sjs(place: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runSjs(place, args);
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}

/** Every name below a folder with what it is. */
async function listTree(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true });
  const entries = await Promise.all(
    names.sort().map(async (name) => {
      const path = join(folder, name);
      const stats = await lstat(path);
      if (stats.isSymbolicLink()) return [name, `-> ${await readlink(path)}`];
      if (stats.isDirectory()) return [name, 'folder'];
      return [name, `${(stats.mode & 0o777).toString(8)} ${await readFile(path, 'utf8')}`];
    }),
  );
  return Object.fromEntries(entries) as Record<string, string>;
}

describe('clone', () => {
  test('gives back the source as it was sealed, and building it gives the same seal elsewhere', async () => {
    const parent = await makeFolder();
    const copy = join(parent, 'copy');
    expect(await sjs(home, 'clone', first.tag, copy)).toBe(`${copy}\n`);
    const cloned = await listTree(copy);
    const { 'sandbox.yaml': yaml, ...rest } = cloned;
    const { 'x.skip': _left, ...sealed } = await listTree(join(source, 'code'));
    expect(rest).toEqual(sealed);
    expect(rest).toMatchObject({ hollow: 'folder', 'empty/link': '-> ../deep/er' });
    expect(yaml).toContain('digest: sha256:');
    // Another home knows nothing of the first build: this one is made anew.
    const other = await build(await makeFolder(), copy);
    expect(other).toMatchObject({ seal: first.seal, tag: first.tag, cached: false });
  });

  test('gives back a command, a single file, and a file that is never code in a folder', async () => {
    const folder = await makeFolder({
      'sandbox.yaml': sandboxYaml('single')
        .replace('source: .', 'source: key.pem')
        .replace('entrypoint: index.js', "command: [node, '/app/key.pem', '-x']"),
      'key.pem': 'console.log(1)\n',
    });
    const built = await build(home, folder);
    const copy = join(await makeFolder(), 'copy');
    await sjs(home, 'clone', 'single', copy);
    expect(await listTree(copy)).toMatchObject({ 'source/key.pem': '644 console.log(1)\n' });
    expect((await build(await makeFolder(), copy)).seal).toBe(built.seal);
  });

  test('writes nothing into a folder that is not empty, and leaves nothing in the engine', async () => {
    const folder = await makeFolder({ here: 'mine' });
    const { code, stdout } = await runSjs(home, ['clone', '--json', 'kept', folder]);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE', message: `${folder} is not empty` } });
    expect(await readdir(folder)).toEqual(['here']);
    const { stdout: left } = await execute('docker', [
      'ps',
      '-aq',
      '--filter',
      `label=dev.sjs.run.home=${join(home, 'sjs')}`,
    ]);
    expect(left).toBe('');
  });
});

test('env has the environment that the program has', async () => {
  const env = JSON.parse(await sjs(home, 'env', '--json', 'kept')) as Record<string, string>;
  expect(env).toMatchObject({ GREETING: 'grüß: "dich" #1', EMPTY: '', YES: 'yes', HOME: '/tmp' });
  const { stdout, stderr } = await runSjs(home, ['env', 'kept']);
  expect(stdout).toContain('GREETING=grüß: "dich" #1\n');
  expect(stderr).toContain('TOKEN_A, TOKEN_B');
  const probe = await makeFolder({
    'sandbox.yaml': sandboxYaml('probe', '  env: { A: b }\n'),
    'index.js': 'console.log(JSON.stringify(process.env));\n',
  });
  const { tag } = await build(home, probe);
  const seen = JSON.parse(await sjs(home, 'run', tag)) as Record<string, string>;
  const { HOSTNAME: _name, ...others } = seen;
  expect(JSON.parse(await sjs(home, 'env', '--json', tag))).toEqual(others);
});

test('diff shows what widened, and what else is otherwise', async () => {
  const copy = join(await makeFolder(), 'copy');
  await sjs(home, 'clone', 'kept', copy);
  expect(await runSjs(home, ['diff', first.tag, first.seal])).toMatchObject({ code: 0 });
  const file = join(copy, 'sandbox.yaml');
  const yaml = await readFile(file, 'utf8');
  await writeFile(
    file,
    yaml
      .replace('pids: 33', 'pids: 34')
      .replace('files: 99', 'files: 98')
      .replace(/^( *['"]?YES['"]?): .*$/m, '$1: "no"'),
  );
  await writeFile(join(copy, 'index.js'), 'changed\n');
  await writeFile(join(copy, 'new'), '');
  const changed = await build(home, copy);
  const { code, stdout } = await runSjs(home, ['diff', first.tag, changed.tag]);
  expect(code).toBe(1);
  const lines = stdout.split('\n');
  expect(lines.slice(0, 5)).toEqual([
    `--- ${first.tag}`,
    `+++ ${changed.tag}`,
    'rights and limits',
    '  WIDENED   pids: 33 -> 34',
    '  tightened open files: 99 -> 98',
  ]);
  expect(lines).toContain('  YES: yes -> no');
  expect(lines).toContain('  + new');
  expect(stdout).toMatch(/ {2}~ index\.js \(sha256:[0-9a-f]{12} -> sha256:[0-9a-f]{12}\)/);
  expect(stdout).not.toContain('deep');
  const missing = await runSjs(home, ['diff', first.tag, 'sjs/none:000000000000']);
  expect(missing.code).toBe(2);
});

test('what was changed and changed back is the newest of its name again', async () => {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('reverted') });
  const build = async (text: string): Promise<string> => {
    await writeFile(join(folder, 'index.js'), `console.log(${JSON.stringify(text)});`);
    const { stdout } = await runSjs(home, ['build', '-q', folder]);
    tags.add(stdout.trim());
    return stdout;
  };
  const first = await build('one');
  await build('two');
  expect((await runSjs(home, ['run', 'reverted'])).stdout).toBe('two\n');
  expect(await build('one')).toBe(first);
  expect((await runSjs(home, ['run', 'reverted'])).stdout).toBe('one\n');
});

test('a right that is asked of a name without an image: there is none', async () => {
  const { code, stdout } = await runSjs(home, ['run', 'nowhere', '--port', '0:80', '--json']);
  expect({ code, error: JSON.parse(stdout) as unknown }).toMatchObject({
    code: 127,
    error: { error: { code: 'TARGET_NOT_FOUND' } },
  });
});

describe('edit', () => {
  test('builds what the editor leaves, and removes the folder', async () => {
    const place = await makeFolder();
    // Not where the source lies: editors obey files there.
    const editor = `sh -c 'test "$PWD" != "$(dirname "$1")" && sed -i "s/pids: 33/pids: 12/" "$1"' edit`;
    const { code, stdout } = await runSjs(home, ['edit', first.tag], {
      env: { EDITOR: editor, TMPDIR: place },
    });
    tags.add(stdout.trim());
    expect({ code, tag: stdout }).toEqual({
      code: 0,
      tag: expect.stringMatching(/^sjs\/kept:1\.2\.3-rc\.1-[0-9a-f]{12}\n$/),
    });
    expect(stdout.trim()).not.toBe(first.tag);
    expect(await readdir(place)).toEqual([]);
    const diff = await runSjs(home, ['diff', first.tag, stdout.trim()]);
    expect(diff.stdout.split('\n').slice(2)).toEqual(['rights and limits', '  tightened pids: 33 -> 12', '']);
  });

  test('starts the editor where sjs was started: a relative path finds no program of the image', async () => {
    const folder = await makeFolder({
      'sandbox.yaml': sandboxYaml('tempting'),
      'index.js': '',
      'my-editor': '#!/bin/sh\nexit 9\n',
    });
    await chmod(join(folder, 'my-editor'), 0o755);
    const built = await runSjs(home, ['build', folder]);
    tags.add(built.stdout.trim());
    const place = await makeFolder();
    const env = { EDITOR: './my-editor', TMPDIR: place };
    const { stderr } = await runSjs(home, ['edit', 'tempting'], { env });
    expect(stderr).toContain('the editor "./my-editor" ended with 127');
    expect(await readdir(place)).toEqual([]);
  });

  test('keeps the folder when what was written cannot be built', async () => {
    const place = await makeFolder();
    const env = { VISUAL: `sed -i 's/pids:/pidz:/' `, TMPDIR: place };
    const { code, stdout, stderr } = await runSjs(home, ['edit', 'kept'], { env });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const folder = /what you wrote is in (\S+):/.exec(stderr)?.[1] ?? '';
    expect((await stat(join(folder, 'sandbox.yaml'))).isFile()).toBe(true);
    const failed = await runSjs(home, ['edit', 'kept'], { env: { EDITOR: 'false', TMPDIR: place } });
    expect(failed.stderr).toContain('the editor "false" ended with 1');
    expect(await readdir(place)).toHaveLength(1);
  });
});
