import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import { docker, removeImages } from '../support/docker.js';
import { makePackage, startRegistry, writeLock } from '../support/package-registry.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

const execute = promisify(execFile);
cleanFolders();
const images = removeImages();

interface Made {
  readonly tag: string;
  readonly seal: string;
}

/** A machine as far as sjs knows one: an SJS_HOME, and a folder of its own for the same source. */
interface Machine {
  readonly home: string;
  readonly folder: string;
}

async function makeMachine(): Promise<Machine> {
  const folder = join(await makeFolder(), 'some', 'where');
  await cp('examples/express-api', folder, {
    recursive: true,
    filter: (path) => !/node_modules|sandbox\.lock/.test(path),
  });
  return { home: await makeFolder(), folder };
}

async function sjs(home: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const result = await runSjs(home, args, { env });
  if (result.code !== 0)
    throw new Error(`sjs ${args.join(' ')}: ${result.code} ${result.stdout} ${result.stderr}`);
  return result.stdout;
}

async function build(home: string, folder: string, env: Record<string, string> = {}): Promise<Made> {
  const made = JSON.parse(await sjs(home, ['build', '--json', folder], env)) as Made;
  images.add(made.tag);
  return made;
}

let here: Machine;
let made: Made;
/** What the image says of its packages. */
let list: Readonly<Record<string, { readonly name: string; readonly version: string }>>;

beforeAll(async () => {
  here = await makeMachine();
  // Two at once, with nothing in the cache.
  const [one, other] = await Promise.all([build(here.home, here.folder), build(here.home, here.folder)]);
  expect(other.seal).toBe(one.seal);
  made = one;
  const container = docker(['create', made.tag]);
  try {
    const place = join(await makeFolder(), 'packages.json');
    docker(['cp', `${container}:/.sjs/packages.json`, place]);
    list = JSON.parse(await readFile(place, 'utf8')) as typeof list;
  } finally {
    docker(['rm', '-f', container]);
  }
}, 240_000);

test('an application with 147 packages runs, answers over HTTP, and its replay is reproduced', async () => {
  const stdout = await sjs(here.home, ['run', made.tag]);
  expect(stdout).toContain('POST /orders 201');
  expect(stdout).toContain('"byItem":{"tea":3,"cup":1},"total":18.5');
  expect(stdout).toContain('POST /orders 400');
  expect(await sjs(here.home, ['replay', 'express-api'])).toContain('reproduced');
});

test('on another machine, without a registry, the same files and cache give the same seal', async () => {
  const there = await makeMachine();
  const offline = { NPM_CONFIG_OFFLINE: 'true' };
  const refused = await runSjs(there.home, ['build', '--json', there.folder], { env: offline });
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'PACKAGE_UNAVAILABLE' } });
  await cp(join(here.home, 'sjs/packages'), join(there.home, 'sjs/packages'), { recursive: true });
  expect((await build(there.home, there.folder, offline)).seal).toBe(made.seal);
  const [one, other] = await Promise.all(
    [here, there].map(({ folder }) => readFile(join(folder, 'sandbox.lock'), 'utf8')),
  );
  expect(other).toBe(one);
});

test('the image, the lock, the lockfile and the bill of materials name the same packages', async () => {
  const namesOf = (packages: Iterable<{ name: string; version: string }>): string[] =>
    [...packages].map(({ name, version }) => `${name}@${version}`).sort();
  const inImage = namesOf(Object.values(list));
  expect(inImage).toHaveLength(147);
  const lock = JSON.parse(await readFile(join(here.folder, 'sandbox.lock'), 'utf8')) as {
    packages: Record<string, string>;
  };
  expect(Object.keys(lock.packages)).toEqual(Object.keys(list));
  expect(
    Object.values(lock.packages)
      .map((line) => line.split(' ')[0])
      .sort(),
  ).toEqual(inImage);
  const { packages } = JSON.parse(await readFile(join(here.folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const locked = Object.entries(packages).flatMap(([place, { version }]) =>
    place === '' ? [] : [{ name: place.replace(/.*node_modules\//, ''), version }],
  );
  expect(namesOf(locked)).toEqual(inImage);
  const bom = JSON.parse(await sjs(here.home, ['sbom', made.tag])) as {
    components: { purl?: string }[];
  };
  const purls = bom.components.flatMap(({ purl }) =>
    purl?.startsWith('pkg:npm/')
      ? [decodeURIComponent(purl.slice('pkg:npm/'.length).split('?')[0] ?? '')]
      : [],
  );
  expect(purls.sort()).toEqual(inImage);
  await sjs(here.home, ['lock', '--check', here.folder]);
});

test('it comes out again as what it was made of, also of a file, and changes as any image does', async () => {
  const copy = join(await makeFolder(), 'copy');
  await sjs(here.home, ['clone', made.tag, copy]);
  expect((await build(here.home, copy)).seal).toBe(made.seal);
  expect((await runSjs(here.home, ['diff', made.tag, here.folder])).code).toBe(0);

  const file = join(await makeFolder(), 'image.tar');
  await sjs(here.home, ['export', '--no-runs', made.tag, file]);
  const { home } = await makeMachine();
  await sjs(home, ['import', '--trust', made.seal, file]);
  expect(JSON.parse(await sjs(home, ['inspect', made.tag]))).toMatchObject({ entry: { seal: made.seal } });

  const bin = await makeFolder();
  const editor = join(bin, 'editor');
  await writeFile(editor, '#!/bin/sh\nsed -i s/30s/31s/ "$1"\n', { mode: 0o755 });
  const edited = JSON.parse(await sjs(here.home, ['edit', '--json', made.tag], { VISUAL: editor })) as Made;
  images.add(edited.tag);
  expect(edited.seal).not.toBe(made.seal);
  const changed = JSON.parse(
    (await runSjs(here.home, ['diff', '--json', made.tag, edited.tag])).stdout,
  ) as Record<string, unknown>;
  expect(changed).toMatchObject({ packages: [], program: [] });
});

/** Without Node's headers, which not every machine has. */
const ADDON = `
extern int napi_create_int32(void *env, int value, void **result);
void *napi_register_module_v1(void *env, void *exports) {
  void *value;
  napi_create_int32(env, 42, &value);
  return value;
}
`;

test('a native addon in a package loads when addons are declared, and not before', async () => {
  const place = await makeFolder({ 'addon.c': ADDON });
  await execute('gcc', ['-shared', '-fPIC', '-nostdlib', '-o', 'addon.node', 'addon.c'], {
    cwd: place,
    timeout: 60_000,
  });
  const policy = join(place, 'policy.yaml');
  const trusting = await readFile(world.policyFile, 'utf8');
  const allowing = 'kind: Policy\nextends: networked\n';
  await writeFile(policy, trusting.replace('kind: Policy\n', allowing), { mode: 0o600 });
  const registry = await startRegistry();
  const env = { NPM_CONFIG_REGISTRY: `${registry.url}/`, SJS_POLICY: policy };
  try {
    const tarball = await makePackage('addon', '1.0.0', {
      'index.js': "module.exports = require('./build/addon.node');",
      'build/addon.node': await readFile(join(place, 'addon.node')),
    });
    const files = writeLock(
      { addon: '1.0.0' },
      { 'node_modules/addon': registry.add('addon', '1.0.0', tarball) },
    );
    const run = async (spec: string) => {
      const folder = await makeFolder({
        'sandbox.yaml': sandboxYaml('with-addon', `  dependencies: {}\n${spec}`),
        'index.js': "console.log(require('addon'))",
        ...files,
      });
      const { tag } = await build(here.home, folder, env);
      return runSjs(here.home, ['run', '-q', tag], { env });
    };
    expect(await run('  permissions: { addons: true }\n')).toEqual({ code: 0, stdout: '42\n', stderr: '' });
    const refused = await run('');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('ERR_DLOPEN_DISABLED');
  } finally {
    await registry.close();
  }
});
