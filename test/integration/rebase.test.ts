import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { COSIGN_2 } from '../support/cosign-generations.js';
import { signWithCosign } from '../support/cosign-sign.js';
import { docker, removeImages } from '../support/docker.js';
import { makePackage, startRegistry, writeLock, type TestRegistry } from '../support/package-registry.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const images = removeImages();

interface Made {
  readonly tag: string;
  readonly seal: string;
  readonly cached: boolean;
}

let home: string;
let folder: string;
let registry: TestRegistry;
let sealed: Made;
// Of its own: the other tests take the newest of the world's.
const repository = `${world.registry}/base/patched`;
const patched = `${repository}:24.21.1`;

/** A base of the same Node with one file more, as a patch would bring. */
async function pushPatched(): Promise<void> {
  const place = await makeFolder({
    Dockerfile: `FROM ${world.reference}\nENV FROM_BASE=new\nCOPY note /note\n`,
    note: 'patched\n',
  });
  images.add(patched);
  docker(['build', '-q', '-t', patched, place]);
  docker(['push', '-q', patched]);
  const digests = JSON.parse(
    docker(['image', 'inspect', '--format', '{{json .RepoDigests}}', patched]),
  ) as string[];
  const target = digests.find((one) => one.startsWith(`${repository}@`)) ?? '';
  const annotations = { version: '24.21.1', repository };
  await signWithCosign(COSIGN_2, target, { keyFile: world.keyFile, annotations, folder: place });
}

async function sjs(args: readonly string[], code = 0): Promise<string> {
  const result = await runSjs(home, args, { env: { NPM_CONFIG_REGISTRY: `${registry.url}/` } });
  if (result.code !== code)
    throw new Error(`sjs ${args.join(' ')}: ${result.code} ${result.stdout} ${result.stderr}`);
  return result.stdout;
}

const layersOf = (tag: string): string[] =>
  JSON.parse(docker(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', tag])) as string[];

beforeAll(async () => {
  home = await makeFolder();
  registry = await startRegistry();
  const dep = await makePackage('dep', '1.0.0', { 'index.js': "module.exports = 'dep';" });
  const base = `  base: { image: ${world.repository}, version: "${world.version}" }\n`;
  folder = await makeFolder({
    'sandbox.yaml': sandboxYaml(
      'rebased',
      `${base}  env: { MODE: "a b" }\n  secrets: [TOKEN]\n  dependencies: {}\n  modules: { builtins: [fs], packages: [dep] }\n`,
    ),
    'index.js':
      "import { existsSync } from 'node:fs';\nimport dep from 'dep';\nconsole.log(process.env.MODE, process.env.FROM_BASE, existsSync('/note'), dep);\n",
    ...writeLock(
      { dep: '1.0.0' },
      { 'node_modules/dep': registry.add('dep', '1.0.0', dep) },
      { type: 'module' },
    ),
    'lib/deep/run.sh': '#!/bin/sh\n',
  });
  sealed = JSON.parse(await sjs(['build', '--json', folder])) as Made;
  images.add(sealed.tag);
  await pushPatched();
});

afterAll(() => registry.close());

test('the same layers over a patched base, verified, with its lineage; nothing but the sealed image is needed', async () => {
  const made = JSON.parse(await sjs(['rebase', '--json', 'rebased', '--base', patched])) as Made & {
    from: Made;
    baseChanges: unknown;
  };
  images.add(made.tag);
  expect(made).toMatchObject({ cached: false, from: { tag: sealed.tag, seal: sealed.seal } });
  expect(made.seal).not.toBe(sealed.seal);
  expect(made.baseChanges).toContainEqual({ what: 'version', from: world.version, to: '24.21.1' });
  const [before, after] = [layersOf(sealed.tag), layersOf(made.tag)];
  // One layer more, of the patch; above it those of sjs, packages and source, digest for digest.
  const own = before.slice(layersOf(world.reference).length);
  expect(after.slice(-own.length)).toEqual(own);
  expect(after).toHaveLength(before.length + 1);
  const label = docker([
    'image',
    'inspect',
    '--format',
    '{{index .Config.Labels "dev.sjs.rebased-from"}}',
    made.tag,
  ]);
  expect(label).toBe(sealed.seal);

  const run = async (tag: string): Promise<string> => {
    const { code, stdout, stderr } = await runSjs(home, ['run', '--secret', 'TOKEN', tag], {
      env: { TOKEN: 'x' },
    });
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
  expect(await run(sealed.tag)).toBe('a b undefined false dep\n');
  expect(await run(made.tag)).toBe('a b new true dep\n');

  // All that differs from a build of the same source over that base is where it came from.
  const yaml = await readFile(join(folder, 'sandbox.yaml'), 'utf8');
  await writeFile(
    join(folder, 'sandbox.yaml'),
    yaml.replace(`${world.repository}, version: "${world.version}"`, `${repository}, version: "24.21.1"`),
  );
  const built = JSON.parse(await sjs(['build', '--json', folder])) as Made;
  images.add(built.tag);
  const diff = JSON.parse(await sjs(['diff', '--json', built.tag, made.tag], 1)) as Record<string, unknown>;
  expect(diff).toMatchObject({
    rights: [],
    base: [],
    packages: [],
    program: [],
    env: [],
    files: [],
    image: [{ what: 'label dev.sjs.rebased-from', from: null, to: sealed.seal }],
  });
  expect(await sjs(['verify', made.tag])).toContain(made.seal);

  // How it was made is known here, and from which seal.
  const provenance = JSON.parse(await sjs(['provenance', made.tag])) as unknown;
  expect(provenance).toMatchObject({
    buildDefinition: {
      resolvedDependencies: expect.arrayContaining([
        { name: 'rebased from', digest: { sha256: sealed.seal.slice('sha256:'.length) } },
      ]),
    },
    runDetails: { byproducts: [{ name: 'seal', digest: { sha256: made.seal.slice('sha256:'.length) } }] },
  });

  const again = JSON.parse(await sjs(['rebase', '--json', sealed.tag, '--base', patched])) as Made;
  expect(again).toMatchObject({ seal: made.seal, cached: true });
});

test('a base that nobody trusted signed is refused, and nothing is left', async () => {
  const tag = `${repository}:24.21.2`;
  docker(['tag', patched, tag]);
  images.add(tag);
  docker(['push', '-q', tag]);
  // Signed as 24.21.1: another version's tag.
  const { code, stdout } = await runSjs(home, ['rebase', '--json', sealed.tag, '--base', tag]);
  expect([code, (JSON.parse(stdout) as { error: { code: string } }).error.code]).toEqual([
    3,
    'BASE_VERSION_MISMATCH',
  ]);
  const left = docker(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', 'sjs/building*']);
  expect(left.split('\n').filter((one) => one.includes('rebased'))).toEqual([]);
});

test('files against a seal: what building them would change', async () => {
  const diff = JSON.parse(await sjs(['diff', '--json', sealed.tag, folder], 1)) as Record<string, unknown>;
  expect(diff).toMatchObject({
    isWidened: false,
    rights: [],
    program: [],
    env: [],
    files: [],
    base: [
      { what: 'digest', to: expect.any(String) },
      { what: 'image', from: world.repository, to: repository },
      { what: 'version', from: world.version, to: '24.21.1' },
    ],
  });
  await writeFile(join(folder, 'index.js'), 'changed\n');
  expect(await sjs(['diff', sealed.tag, folder], 1)).toMatch(
    / {2}~ index\.js \(sha256:\w{12} -> sha256:\w{12}\)/,
  );
});
