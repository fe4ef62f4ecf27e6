import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { removeImages } from '../support/docker.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const images = removeImages();

interface Built {
  readonly tag: string;
  readonly seal: string;
  readonly cached: boolean;
}

let home: string;
let env: Record<string, string>;

beforeAll(async () => {
  home = await makeFolder();
  const policy = join(home, 'networked.yaml');
  const text = await readFile(world.policyFile, 'utf8');
  const allow = 'allow: { egress: ["*:443"], ports: ["127.0.0.1:*"] }';
  await writeFile(policy, text.replace('kind: Policy\n', `kind: Policy\nextends: networked\n${allow}\n`), {
    mode: 0o600,
  });
  env = { SJS_POLICY: policy };
});

async function sjs(args: readonly string[], place = home, cwd = home): Promise<string> {
  const { code, stdout, stderr } = await runSjs(place, args, { env, cwd });
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}

async function build(folder: string, place = home): Promise<Built> {
  const built = JSON.parse(await sjs(['build', folder, '--json'], place)) as Built;
  images.add(built.tag);
  return built;
}

/** Seals a file of a folder as `sjs run` does. */
async function sealByRun(folder: string, ...words: string[]): Promise<Built> {
  const { tag } = JSON.parse(await sjs(['run', '--json', ...words], home, folder)) as { tag: string };
  images.add(tag);
  const [entry] = (JSON.parse(await sjs(['images', '--json'])) as Built[]).filter((one) => one.tag === tag);
  if (!entry) throw new Error(`${tag} is not listed`);
  return entry;
}

/** What a clone has, and what building it gives where nobody knows the seal. */
async function cloneAndBuild({ tag }: Built): Promise<{ copy: string; files: string[]; built: Built }> {
  const copy = join(await makeFolder(), 'copy');
  await sjs(['clone', tag, copy]);
  const files = (await readdir(copy, { recursive: true })).sort();
  return { copy, files, built: await build(copy, await makeFolder()) };
}

const TYPESCRIPT = {
  'main.ts': "import { add } from './lib/add.ts';\nconst sum: number = add(1, 2);\nconsole.log(sum);\n",
  'lib/add.ts': 'export const add = (a: number, b: number): number => a + b;\n',
  'lib/types.d.ts': 'export type A = string;\n',
  'lib/enum.ts': 'export enum A { B }\n',
  'lib/plain.js': '1;\n',
  'package.json': '{ "type": "module" }\n',
};
const written = Object.keys(TYPESCRIPT);

test.each<[string, string, Record<string, string>]>([
  ['JavaScript', '', { 'index.js': 'console.log(1);\n', 'lib/a.js': '2;\n' }],
  [
    'determinism',
    '  secrets: [API_TOKEN]\n  determinism: { clock: 2024-01-01T00:00:00Z, seed: 42 }\n',
    { 'index.js': 'console.log(Date.now());\n' },
  ],
  [
    'ports and egress',
    `  network: { mode: isolated, ports: ["0:3000"], egress: ["example.com:443"] }\n  resources: { timeout: 10s }\n`,
    { 'index.js': 'console.log(1);\n' },
  ],
])('%s: building a clone gives the same seal', async (name, spec, files) => {
  const short = name.split(' ')[0]?.toLowerCase() ?? '';
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml(`clone-${short}`, spec), ...files });
  const original = await build(folder);
  const clone = await cloneAndBuild(original);
  expect(clone.files).toEqual(expect.arrayContaining(Object.keys(files)));
  expect(clone.built).toMatchObject({ seal: original.seal, tag: original.tag, cached: false });
});

test('TypeScript: a clone has what was written, not what was made of it, and gives the same seal', async () => {
  const yaml = sandboxYaml('clone-typed').replace('entrypoint: index.js', 'command: [node, ./main.ts, -x]');
  const original = await build(await makeFolder({ 'sandbox.yaml': yaml, ...TYPESCRIPT }));
  const { copy, files, built } = await cloneAndBuild(original);
  expect(files).toEqual([...written, 'lib', 'sandbox.yaml'].sort());
  expect(built).toMatchObject({ seal: original.seal, cached: false });
  for (const [name, text] of Object.entries(TYPESCRIPT)) {
    expect(await readFile(join(copy, name), 'utf8')).toBe(text);
  }
  expect(
    JSON.parse(await sjs(['clone', '--json', original.tag, join(await makeFolder(), 'x')])),
  ).toMatchObject({ entries: written.length + 1, strippedOtherwise: [] });
});

test('a package with node_modules: a clone gives the same seal', async () => {
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('clone-package'),
    'index.js': "console.log(require('dep'));\n",
    'package.json': '{ "dependencies": { "dep": "1" } }\n',
    'node_modules/dep/package.json': '{ "name": "dep", "version": "1.0.0" }\n',
    'node_modules/dep/index.js': 'module.exports = 7;\n',
    'node_modules/dep/sandbox.yaml': 'not ours\n',
    'node_modules/dep/types.ts': 'export type A = 1;\n',
    'node_modules/dep/cli.js': '#!/usr/bin/env node\n',
  });
  await chmod(join(folder, 'node_modules/dep/cli.js'), 0o755);
  await mkdir(join(folder, 'node_modules/.bin'));
  await symlink('../dep/cli.js', join(folder, 'node_modules/.bin/dep'));
  const original = await build(folder);
  const { files, built } = await cloneAndBuild(original);
  expect(files).toEqual(expect.arrayContaining(['node_modules/.bin/dep', 'node_modules/dep/sandbox.yaml']));
  expect(built).toMatchObject({ seal: original.seal, cached: false });
});

test('--in: the files come out beside the source, and a clone gives the same seal', async () => {
  const folder = await makeFolder({
    ...TYPESCRIPT,
    'main.ts': "import { readdirSync } from 'node:fs';\nconsole.log(readdirSync('/in').join() as string);\n",
    'data.csv': '1;2\n',
    'tool.sh': '#!/bin/sh\n',
  });
  await chmod(join(folder, 'tool.sh'), 0o755);
  const original = await sealByRun(folder, '--in', 'tool.sh', '--in', 'data.csv', '-e', 'A=1', 'main.ts');
  const { copy, files, built } = await cloneAndBuild(original);
  expect(files).toEqual(['in', 'in/data.csv', 'in/tool.sh', 'sandbox.yaml', 'source', 'source/main.ts']);
  expect(await readFile(join(copy, 'in/data.csv'), 'utf8')).toBe('1;2\n');
  expect(await readFile(join(copy, 'sandbox.yaml'), 'utf8')).toMatch(/entrypoint: main\.ts\n/);
  expect(built).toMatchObject({ seal: original.seal, tag: original.tag, cached: false });
  expect(await sjs(['run', '-q', original.tag])).toBe('data.csv,tool.sh\n');

  // What came in can be changed where it lies, and what differs is shown.
  await writeFile(join(copy, 'in/data.csv'), '3\n');
  const changed = await build(copy);
  expect((await runSjs(home, ['diff', original.tag, changed.tag])).stdout).toMatch(
    / {2}~ \/in\/data\.csv \(/,
  );
});
