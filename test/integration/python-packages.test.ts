import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { RunRecord } from '../../src/index.js';
import { docker, removeImages } from '../support/docker.js';
import { makeWheel, pin, startIndex, type TestIndex, type Wheel } from '../support/package-index.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs } from '../support/world.js';
import { provideBase } from '../support/world-base.js';

jest.setTimeout(240_000);
const execute = promisify(execFile);
cleanFolders();
const images = removeImages();

let policyFile: string;
let index: TestIndex;
let home: string;
let folder: string;
let tag: string;
/** Of the base, as `3.11`. */
let python: string;
let requirements: string;

const MAIN = `import sys, json
import greet, native_part
from space.left import NAME as left
from space.right import NAME as right
import importlib.metadata as metadata
print(greet.hello(sys.argv[1] if len(sys.argv) > 1 else "world"), left, right)
print(json.dumps([metadata.version("greet"), [p for p in sys.path if p.startswith("/app")], native_part.KIND]))
def double(number):
    return greet.double(number)
`;

async function sjs(words: readonly string[], env: Record<string, string> = {}) {
  const at = words.includes('--') ? words.indexOf('--') : words.length;
  const all = [...words.slice(0, at), '--json', ...words.slice(at)];
  const { stdout, stderr } = await runSjs(home, all, {
    env: { SJS_POLICY: policyFile, PIP_INDEX_URL: index.url, ...env },
  });
  if (stdout === '') throw new Error(`sjs ${words.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as { error?: { code: string; message: string; next: string } } & Record<
    string,
    unknown
  >;
}

const run = async (words: readonly string[]) =>
  (await sjs(['run', tag, ...words])) as unknown as RunRecord & {
    readonly output: { readonly stdout: string; readonly stderr: string };
  };

beforeAll(async () => {
  const { repository, version } = await provideBase('python');
  python = version.split('.').slice(0, 2).join('.');
  policyFile = await networkedPolicy('{ egress: [] }');
  const text = await readFile(policyFile, 'utf8');
  const line = `defaults:\n  bases:\n    python: { image: ${repository}, version: "${version}" }\n`;
  await writeFile(policyFile, text.replace('defaults:\n', line), { mode: 0o600 });
  index = await startIndex();
  const own = `cp${python.replace('.', '')}`;
  const wheels: Record<string, Wheel[]> = {
    greet: [
      await makeWheel(
        'greet',
        '1.2.0',
        {
          'greet/__init__.py':
            'def hello(name):\n    return f"hello, {name}"\n\ndef double(n):\n    return 2 * n\n',
          'greet-1.2.0.data/scripts/greet': '#!python\nprint("never")\n',
          'greet-1.2.0.data/purelib/greet_more.py': 'MORE = 1\n',
          'greet-1.2.0.data/data/etc/greet.conf': 'never\n',
          'greet.pth': 'import os; os.environ["PWNED"] = "1"\n',
        },
        {
          metadata: [
            'License: MIT',
            'Requires-Python: >=3.8',
            'Requires-Dist: native-part (>=2,<3)',
            'Requires-Dist: nothing-of-the-kind ; extra == "never"',
            'Requires-Dist: win-only ; sys_platform == "win32"',
          ],
        },
      ),
    ],
    'native-part': [
      // What is for this Python counts more than what is for all; another system's and another Python's never.
      await makeWheel('native.part', '2.0', { 'native_part.py': 'KIND = "any"\n' }),
      await makeWheel(
        'native.part',
        '2.0',
        { 'native_part.py': 'KIND = "own"\n' },
        { tags: `${own}-${own}-manylinux2014_x86_64.manylinux_2_17_x86_64` },
      ),
      await makeWheel(
        'native.part',
        '2.0',
        { 'native_part.py': 'KIND = "mac"\n' },
        { tags: `${own}-${own}-macosx_11_0_arm64` },
      ),
      await makeWheel(
        'native.part',
        '2.0',
        { 'native_part.py': 'KIND = "old"\n' },
        { tags: 'cp27-cp27m-manylinux1_x86_64' },
      ),
    ],
    'space-left': [
      await makeWheel('space-left', '1.0', { 'space/left.py': 'NAME = "left"\n', 'space/__init__.py': '' }),
    ],
    'space-right': [
      await makeWheel('space-right', '1.0', {
        'space/right.py': 'NAME = "right"\n',
        'space/__init__.py': '',
      }),
    ],
  };
  for (const [project, all] of Object.entries(wheels)) index.add(project, ...all);
  requirements =
    '# made by hand\n' +
    pin('greet==1.2.0 ; python_version >= "3.8" and python_version < "4"', ...wheels['greet']!) +
    pin('Native_Part==2.0', ...wheels['native-part']!) +
    pin('space-left==1.0', ...wheels['space-left']!) +
    pin('space-right==1.0', ...wheels['space-right']!) +
    pin('win-only==1.0 ; sys_platform == "win32"', ...wheels['greet']!);
  home = await makeFolder();
  folder = await makeFolder({
    'main.py': MAIN,
    'requirements.txt': requirements,
    'sandbox.yaml':
      'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: wheels }\nspec:\n  source: .\n  entrypoint: main.py\n  dependencies: {}\n',
  });
  const made = await sjs(['build', folder]);
  expect(made.error).toBeUndefined();
  tag = made['tag'] as string;
  images.add(tag);
});
afterAll(() => index?.close());

test('a program finds its packages, behind its own files and the library; its replay is reproduced', async () => {
  const ran = await run(['--', 'Ada']);
  expect(ran.output.stderr).toBe('');
  const [greeting, found] = ran.output.stdout.trim().split('\n');
  expect(greeting).toBe('hello, Ada left right');
  expect(JSON.parse(found ?? '')).toEqual(['1.2.0', ['/app', '/app/site-packages'], 'own']);
  expect(await sjs(['replay', ran.id])).toMatchObject({ reproduced: true });
  expect(await sjs(['call', tag, 'double', '21'])).toMatchObject({ outcome: 'result', value: 42 });
});

test('nothing of a wheel is run, and no script, header or other data of it is laid in', async () => {
  const container = docker(['create', tag]);
  try {
    const place = await makeFolder();
    docker(['cp', `${container}:/app/site-packages`, place]);
    expect((await readdir(join(place, 'site-packages'))).sort()).toEqual([
      ...['greet', 'greet-1.2.0.dist-info', 'greet.pth', 'greet_more.py'],
      ...['native_part-2.0.dist-info', 'native_part.py'],
      ...['space', 'space_left-1.0.dist-info', 'space_right-1.0.dist-info'],
    ]);
  } finally {
    docker(['rm', '-f', container]);
  }
  await writeFile(join(folder, 'env.py'), 'import os; print(os.environ.get("PWNED"))\n');
  try {
    const given = { SJS_POLICY: policyFile, PIP_INDEX_URL: index.url };
    const yaml = await readFile(join(folder, 'sandbox.yaml'), 'utf8');
    const other = await makeFolder({
      'requirements.txt': requirements,
      'env.py': 'import os, greet; print(os.environ.get("PWNED"))\n',
    });
    await writeFile(
      join(other, 'sandbox.yaml'),
      yaml.replace('main.py', 'env.py').replace('wheels', 'wheels-env'),
    );
    const made = await sjs(['build', other], given);
    images.add(made['tag'] as string);
    expect(await sjs(['run', made['tag'] as string])).toMatchObject({ output: { stdout: 'None\n' } });
  } finally {
    await rm(join(folder, 'env.py'));
  }
});

test('with everything in the cache nobody is asked, and elsewhere the same files come to the same seal', async () => {
  const before = index.seen.length;
  const copy = join(await makeFolder(), 'elsewhere');
  await cp(folder, copy, { recursive: true });
  expect(await sjs(['build', copy], { PIP_INDEX_URL: 'http://127.0.0.1:9/simple' })).toMatchObject({ tag });
  expect(index.seen).toHaveLength(before);
  const there = await makeFolder();
  const own = home;
  home = there;
  try {
    expect(await sjs(['build', copy, '--frozen'])).toMatchObject({ tag });
  } finally {
    home = own;
  }
});

test('sandbox.lock has each package, and says when requirements.txt asks for others', async () => {
  const lock = await readFile(join(folder, 'sandbox.lock'), 'utf8');
  expect(lock).toContain('"site-packages/greet": "greet@1.2.0 sha256-');
  expect((await sjs(['lock', '--check', folder])).error).toBeUndefined();
  const copy = join(await makeFolder(), 'changed');
  await cp(folder, copy, { recursive: true });
  await writeFile(
    join(copy, 'requirements.txt'),
    requirements.replace('space-right==1.0', 'space-right==1.1'),
  );
  expect((await sjs(['lock', '--check', copy])).error).toMatchObject({
    code: 'LOCK_OUTDATED',
    message: expect.stringContaining('space-right'),
  });
});

test('a bill of materials names them, and a clone builds the same seal again', async () => {
  const { components } = (await sjs(['sbom', tag])) as { components?: { purl?: string; name: string }[] };
  const found = components?.filter(({ purl }) => purl?.startsWith('pkg:pypi/'));
  expect(found).toMatchObject([
    { purl: 'pkg:pypi/greet@1.2.0', licenses: [{ license: { id: 'MIT' } }], hashes: [{ alg: 'SHA-256' }] },
    { purl: 'pkg:pypi/native-part@2.0' },
    { purl: 'pkg:pypi/space-left@1.0' },
    { purl: 'pkg:pypi/space-right@1.0' },
  ]);
  const clone = join(await makeFolder(), 'clone');
  await sjs(['clone', tag, clone]);
  await expect(readdir(clone)).resolves.toContain('source');
  expect(await sjs(['build', clone])).toMatchObject({ tag });
  // One whose requirements are gone says what was in it all the same.
  const bare = await makeFolder({ 'requirements.txt': requirements, 'main.py': MAIN });
  const yaml = await readFile(join(folder, 'sandbox.yaml'), 'utf8');
  await writeFile(
    join(bare, 'sandbox.yaml'),
    yaml.replace('source: .', 'source: .\n  exclude: [requirements.txt]'),
  );
  const made = await sjs(['build', bare]);
  images.add(made['tag'] as string);
  const again = join(await makeFolder(), 'again');
  await sjs(['clone', made['tag'] as string, again]);
  expect(await sjs(['build', again])).toMatchObject({ tag: made['tag'] });
});

test('without an index in the operator’s configuration they are not here, and a file of the project is none', async () => {
  const copy = join(await makeFolder(), 'alone');
  await cp(folder, copy, { recursive: true });
  await writeFile(join(copy, 'pip.conf'), `[global]\nindex-url = ${index.url}\n`);
  const own = home;
  home = await makeFolder();
  try {
    const refused = await sjs(['build', copy], { PIP_INDEX_URL: '', HOME: await makeFolder() });
    expect(refused.error).toMatchObject({
      code: 'PACKAGE_UNAVAILABLE',
      message: expect.stringContaining('no package index is configured'),
      next: expect.stringContaining('pip config set global.index-url'),
    });
    const before = index.seen.length;
    await writeFile(join(copy, 'requirements.txt'), `--index-url ${index.url}\n${requirements}`);
    expect((await sjs(['build', copy], { PIP_INDEX_URL: '' })).error).toMatchObject({
      code: 'LOCKFILE_INVALID',
    });
    expect(index.seen).toHaveLength(before);
  } finally {
    home = own;
  }
});

test('bytes that are not those of the hash are never laid in', async () => {
  const own = home;
  home = await makeFolder();
  const copy = join(await makeFolder(), 'tampered');
  await cp(folder, copy, { recursive: true });
  const genuine = index.projects.get('greet') ?? [];
  const [wheel] = genuine;
  const evil = await makeWheel('greet', '1.2.0', { 'greet/__init__.py': 'print("evil")\n' });
  // The index says the hash that is asked for, and gives other bytes.
  index.answer = (request, response) => {
    const { answer } = index;
    if (request.url?.endsWith(wheel?.file ?? '?')) return void response.end(evil.bytes);
    index.answer = null;
    void fetch(`${new URL(index.url).origin}${request.url}`)
      .then((found) => found.text())
      .then((text) => {
        response.setHeader('content-type', 'text/html');
        response.end(text);
      });
    setTimeout(() => (index.answer = answer), 0);
  };
  try {
    const refused = await sjs(['build', copy]);
    expect(refused.error).toMatchObject({ code: 'PACKAGE_MISMATCH' });
  } finally {
    index.answer = null;
    home = own;
  }
});

test('wheels of Debian, one of them with compiled modules, run as they are', async () => {
  const place = await makeFolder();
  await execute('apt-get', ['download', 'python3-pip-whl', 'python3-markupsafe'], { cwd: place });
  for (const file of await readdir(place)) await execute('dpkg-deb', ['-x', join(place, file), place]);
  const [pipFile = ''] = (await readdir(join(place, 'usr/share/python-wheels'))).filter((name) =>
    name.startsWith('pip-'),
  );
  const pip = { file: pipFile, bytes: await readFile(join(place, 'usr/share/python-wheels', pipFile)) };
  const packages = join(place, 'usr/lib/python3/dist-packages');
  const files: Record<string, Buffer> = {};
  for (const name of await readdir(join(packages, 'markupsafe'))) {
    if (/\.(?:py|so)$/.test(name))
      files[`markupsafe/${name}`] = await readFile(join(packages, 'markupsafe', name));
  }
  const own = `cp${python.replace('.', '')}`;
  const markupsafe = await makeWheel('MarkupSafe', '2.1.2', files, { tags: `${own}-${own}-linux_x86_64` });
  index.add('pip', pip);
  index.add('markupsafe', markupsafe);
  const version = pipFile.split('-')[1];
  const real = await makeFolder({
    'main.py':
      'import ctypes, pip, markupsafe, markupsafe._speedups as native\nctypes.CDLL("libstdc++.so.6")\nprint(pip.__version__, native.escape("<b>"))\n',
    'requirements.txt': pin(`pip==${version}`, pip) + pin('MarkupSafe==2.1.2', markupsafe),
    'sandbox.yaml':
      'apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: real-wheels }\nspec:\n  source: .\n  entrypoint: main.py\n  dependencies: {}\n',
  });
  const made = await sjs(['build', real]);
  expect(made.error).toBeUndefined();
  images.add(made['tag'] as string);
  expect(await sjs(['run', made['tag'] as string])).toMatchObject({
    output: { stdout: `${version} &lt;b&gt;\n`, stderr: '' },
  });
});
