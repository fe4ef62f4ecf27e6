import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { PackageURL } from 'packageurl-js';
import { cycloneDxSchema } from '../support/cyclonedx-schema.js';
import { COSIGN_2, runCosign } from '../support/cosign-generations.js';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { docker, removeImages } from '../support/docker.js';
import { SPDX_SCHEMA } from '../support/spdx-schema.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
const images = removeImages();

interface Component {
  readonly type: string;
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}

const FILES = {
  'index.js': "console.log(require('dep'));\n",
  'lib/a.js': '1;\n',
  'node_modules/dep/package.json': '{ "name": "dep", "version": "1.2.3", "license": "MIT" }\n',
  'node_modules/dep/index.js': 'module.exports = 7;\n',
};

let home: string;
let folder: string;
let commit: string;
let tag: string;
let seal: string;

async function sjs(args: readonly string[], place = home, env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await runSjs(place, args, { env });
  if (code !== 0) throw new Error(`sjs ${args.join(' ')}: ${code} ${stdout} ${stderr}`);
  return stdout;
}

const build = async (place: string): Promise<{ readonly tag: string; readonly seal: string }> =>
  JSON.parse(await sjs(['build', folder, '--json'], place)) as { tag: string; seal: string };

beforeAll(async () => {
  home = await makeFolder();
  // With a secret, so that something of sjs's own is in it too.
  folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('attested', '  secrets: [TOKEN]\n'), ...FILES });
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim();
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  commit = git('rev-parse', 'HEAD');
  ({ tag, seal } = await build(home));
  images.add(tag);
});

describe('the bill of materials', () => {
  let bill: string;
  let components: readonly Component[];

  beforeAll(async () => {
    bill = await sjs(['sbom', tag]);
    ({ components } = JSON.parse(bill) as { components: Component[] });
  });

  test('is valid CycloneDX, and valid SPDX', async () => {
    const validate = cycloneDxSchema();
    validate(JSON.parse(bill));
    expect(validate.errors).toBeNull();
    const validateSpdx = new Ajv({ strict: false }).compile(SPDX_SCHEMA);
    validateSpdx(JSON.parse(await sjs(['sbom', '--format', 'spdx', tag])));
    expect(validateSpdx.errors).toBeNull();
  });

  test('has the packages of the base as its own list says, and the Node that runs', () => {
    const inImage = docker([
      'run',
      '--rm',
      '--entrypoint',
      '/usr/local/bin/node',
      tag,
      '--eval',
      LIST_PACKAGES,
    ]);
    const { packages, node } = JSON.parse(inImage) as { packages: string[]; node: string };
    expect(packages.length).toBeGreaterThan(4);
    const debian = components.flatMap(({ purl }) => {
      const found = purl?.startsWith('pkg:deb/') ? PackageURL.fromString(purl) : null;
      return found ? [`${found.name} ${found.version} ${found.qualifiers?.['arch']}`] : [];
    });
    expect(debian.sort()).toEqual(packages.sort());
    expect(components.filter(({ type }) => type === 'platform')).toMatchObject([
      { name: 'node', version: node },
    ]);
  });

  test('has every file above the base with its digest, and the packages that lie among them', () => {
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const files = components.filter(({ type }) => type === 'file');
    expect(files.map(({ name }) => name)).toEqual(
      ['/.sjs/secrets-preload.cjs', ...Object.keys(FILES).map((name) => `/app/${name}`)].sort(),
    );
    for (const [name, text] of Object.entries(FILES)) {
      expect(files.find((file) => file.name === `/app/${name}`)?.hashes).toEqual([
        { alg: 'SHA-256', content: sha256(text) },
      ]);
    }
    expect(components.find(({ purl }) => purl === 'pkg:npm/dep@1.2.3')).toMatchObject({
      licenses: [{ license: { id: 'MIT' } }],
    });
  });

  test('is the same where somebody else built the same, later', async () => {
    const other = await makeFolder();
    expect(await build(other)).toEqual(expect.objectContaining({ seal }));
    for (const format of ['cyclonedx', 'spdx'])
      expect(await sjs(['sbom', '--format', format, tag], other)).toBe(
        await sjs(['sbom', '--format', format, tag]),
      );
  });

  test('states a time when it is told one', async () => {
    const env = { SOURCE_DATE_EPOCH: '1767225600' };
    expect(await sjs(['sbom', tag], home, env)).toContain('"timestamp": "2026-01-01T00:00:00.000Z"');
  });

  test('comes in two formats, and no other', async () => {
    expect(await runSjs(home, ['sbom', '--format', 'spdxx', tag])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('did you mean spdx?'),
    });
  });
});

/** What the packages of the base and its Node say, from inside. */
const LIST_PACKAGES = `
  const { readdirSync, readFileSync } = require('node:fs');
  const folder = '/var/lib/dpkg/status.d/';
  const packages = readdirSync(folder).map((name) => {
    const field = (key) => readFileSync(folder + name, 'utf8').match(new RegExp('^' + key + ': (.*)$', 'm'))[1];
    return [field('Package'), field('Version'), field('Architecture')].join(' ');
  });
  console.log(JSON.stringify({ packages, node: process.versions.node }));`;

describe('the provenance', () => {
  test('says where it comes from', async () => {
    const provenance = JSON.parse(await sjs(['provenance', tag])) as Record<string, Record<string, unknown>>;
    const sum = async (file: string): Promise<object> => ({
      sha256: createHash('sha256')
        .update(await readFile(join(folder, file)))
        .digest('hex'),
    });
    const layers = JSON.parse(
      docker(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', tag]),
    ) as string[];
    expect(provenance).toMatchObject({
      buildDefinition: {
        externalParameters: {
          sandbox: { digest: await sum('sandbox.yaml') },
          lock: { digest: await sum('sandbox.lock') },
          rights: { secrets: ['TOKEN'] },
        },
        resolvedDependencies: expect.arrayContaining([
          expect.objectContaining({ name: 'base', digest: { sha256: world.digest.slice(7) } }),
          expect.objectContaining({ name: 'git', digest: { gitCommit: commit } }),
          expect.objectContaining({ name: 'source', digest: { sha256: expect.any(String) } }),
        ]),
      },
      runDetails: { byproducts: [{ name: 'seal', digest: { sha256: seal.slice(7) } }] },
    });
    const { resolvedDependencies } = provenance['buildDefinition'] as {
      resolvedDependencies: { name: string; digest: { sha256: string } }[];
    };
    const source = resolvedDependencies.find(({ name }) => name === 'source');
    expect(layers).toContain(`sha256:${source?.digest.sha256}`);
  });
});

test('a stranger checks each link with the commands of docs/chain.md', async () => {
  const place = await makeFolder({ 'bin/.keep': '', 'provenance.in': await sjs(['provenance', tag]) });
  await writeFile(join(place, 'cyclonedx.in'), await sjs(['sbom', tag]));
  const made = await makeCosignKeys(1);
  const [key] = made.keys;
  try {
    const repository = `${world.registry}/attested`;
    docker(['tag', tag, `${repository}:1`]);
    images.add(`${repository}:1`);
    docker(['push', '--quiet', `${repository}:1`]);
    const digest = /sha256:[0-9a-f]{64}/.exec(
      docker(['inspect', '--format', '{{json .RepoDigests}}', tag]),
    )?.[0];
    const image = `${repository}@${digest}`;
    images.add(image);
    const flags = ['--yes', '--tlog-upload=false', '--allow-insecure-registry', '--key', key?.keyFile ?? ''];
    await runCosign(COSIGN_2, ['sign', ...flags, image]);
    for (const [type, file] of [
      ['slsaprovenance1', 'provenance.in'],
      ['cyclonedx', 'cyclonedx.in'],
    ] as const)
      await runCosign(COSIGN_2, [
        'attest',
        ...flags,
        '--type',
        type,
        '--predicate',
        join(place, file),
        image,
      ]);
    await writeFile(join(place, 'seal.pub'), key?.publicKey ?? '');
    await writeFile(join(place, 'base.pub'), world.publicKey);
    await symlink(folder, join(place, 'source'));
    // The registry of the tests has no TLS, and its signatures are in no log.
    const cosign = `#!/bin/sh\nverb=$1; shift\nPATH=$REAL_PATH exec cosign "$verb" --insecure-ignore-tlog=true --allow-insecure-registry "$@"\n`;
    await writeFile(join(place, 'bin/cosign'), cosign, { mode: 0o755 });
    const page = await readFile('docs/chain.md', 'utf8');
    const commands = [...page.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command);
    expect(commands.length).toBeGreaterThan(10);
    const follow = (steps: readonly (string | undefined)[]): string =>
      execFileSync('bash', ['-euo', 'pipefail', '-xc', steps.join('\n')], {
        cwd: place,
        encoding: 'utf8',
        stdio: 'pipe',
        timeout: 120_000,
        env: {
          ...process.env,
          IMAGE: image,
          PATH: `${join(place, 'bin')}:${COSIGN_2.path}`,
          REAL_PATH: COSIGN_2.path,
        },
      });
    expect(follow(commands)).toContain(seal.slice('sha256:'.length));
    // Another source than the one that was sealed.
    await writeFile(join(folder, 'sandbox.yaml'), sandboxYaml('attested'));
    expect(() => follow(commands.slice(-2))).toThrow(/sandbox\.yaml/);
  } finally {
    await made.remove();
  }
});

describe('cosign 2 reads the provenance into the types that in-toto publishes for Go', () => {
  let keys: Awaited<ReturnType<typeof makeCosignKeys>>;

  beforeAll(async () => {
    keys = await makeCosignKeys(1);
  });
  afterAll(() => keys.remove());

  // Those types write one name otherwise than the specification does, and read both.
  const asWritten = (text: string): unknown => JSON.parse(text.replace('"invocationId"', '"invocationID"'));

  test('and finds all of it, and nothing that it does not know', async () => {
    const text = await sjs(['provenance', tag]);
    expect(await attest(keys, text)).toEqual(asWritten(text));
    expect(await attest(keys, text.replace('{', '{ "more": 1,'))).toEqual(asWritten(text));
  });

  test.each([
    ['without details of the run', { runDetails: undefined }],
    ['with another kind of builder', { runDetails: { builder: 'sjs' } }],
  ])('and refuses one %s', async (_what, change) => {
    const provenance = JSON.parse(await sjs(['provenance', tag])) as object;
    await expect(attest(keys, JSON.stringify({ ...provenance, ...change }))).rejects.toThrow(/runDetails/);
  });
});

/** The predicate as cosign writes it again after it read it. */
async function attest(
  { keys, folder: place }: Awaited<ReturnType<typeof makeCosignKeys>>,
  predicate: string,
): Promise<unknown> {
  const [file, blob, out] = ['predicate.json', 'blob', 'envelope.json'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([writeFile(file, predicate), writeFile(blob, seal)]);
  await runCosign(COSIGN_2, [
    ...['attest-blob', '--yes', '--tlog-upload=false', '--key', keys[0]?.keyFile ?? ''],
    ...['--type', 'slsaprovenance1', '--predicate', file, '--output-signature', out, blob],
  ]);
  const { payload } = JSON.parse(await readFile(out, 'utf8')) as { readonly payload: string };
  const statement = JSON.parse(Buffer.from(payload, 'base64').toString()) as Record<string, unknown>;
  expect(statement).toMatchObject({ predicateType: 'https://slsa.dev/provenance/v1' });
  return statement['predicate'];
}
