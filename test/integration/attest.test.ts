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
  'index.js': "console.log(require('dep'), ...process.argv.slice(2));\n",
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

const build = async (
  place: string,
  what = folder,
): Promise<{ readonly tag: string; readonly seal: string }> =>
  JSON.parse(await sjs(['build', what, '--json'], place)) as { tag: string; seal: string };

const git = (where: string, ...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
    cwd: where,
    encoding: 'utf8',
  }).trim();

/** A repository with one commit, and a sandbox in it. */
async function makeRepository(name: string, spec = ''): Promise<string> {
  const made = await makeFolder({ 'sandbox.yaml': sandboxYaml(name, spec), ...FILES });
  git(made, 'init', '-q', '-b', 'main');
  git(made, 'add', '.');
  git(made, 'commit', '-q', '-m', 'one');
  return made;
}

beforeAll(async () => {
  home = await makeFolder();
  // With a secret, so that something of sjs's own is in it too.
  folder = await makeRepository('attested', '  secrets: [TOKEN]\n');
  commit = git(folder, 'rev-parse', 'HEAD');
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
      [
        '/.sjs/call.cjs',
        '/.sjs/secrets-preload.cjs',
        ...Object.keys(FILES).map((name) => `/app/${name}`),
      ].sort(),
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

describe('a stranger checks each link with the commands of docs/chain.md', () => {
  const commands: string[] = [];
  let place: string;
  let image: string;
  let source: string;
  let chained: { readonly tag: string; readonly seal: string };
  let keys: Awaited<ReturnType<typeof makeCosignKeys>>;

  const follow = (steps: readonly string[]): string =>
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

  beforeAll(async () => {
    const page = await readFile('docs/chain.md', 'utf8');
    commands.push(...[...page.matchAll(/^\$ (.*)$/gm)].map(([, command = '']) => command));
    // Without a secret: docker alone cannot hand one over.
    source = await makeRepository('chained');
    chained = await build(home, source);
    images.add(chained.tag);
    keys = await makeCosignKeys(1);
    const [key] = keys.keys;
    const [keyFile, publicKey] = [key?.keyFile ?? '', key?.publicKey ?? ''];
    place = await makeFolder({
      'bin/.keep': '',
      'provenance.in': await sjs(['provenance', chained.tag]),
      'cyclonedx.in': await sjs(['sbom', chained.tag]),
      'seal.pub': publicKey,
      'run.pub': publicKey,
      'base.pub': world.publicKey,
    });
    await symlink(source, join(place, 'source'));
    const env = { COSIGN_PASSWORD: '' };
    const receipt = (name: string): string[] => [`--receipt=${join(place, name)}`, '--key', keyFile];
    await writeFile(
      join(place, 'stdout.txt'),
      await sjs(['run', ...receipt('receipt.json'), chained.tag, '--', 'two words', 'three'], home, env),
    );
    await sjs(['replay', ...receipt('replay.json'), chained.tag], home, env);

    const repository = `${world.registry}/attested`;
    docker(['tag', chained.tag, `${repository}:1`]);
    images.add(`${repository}:1`);
    docker(['push', '--quiet', `${repository}:1`]);
    const digest = /sha256:[0-9a-f]{64}/.exec(
      docker(['inspect', '--format', '{{json .RepoDigests}}', chained.tag]),
    )?.[0];
    image = `${repository}@${digest}`;
    images.add(image);
    const flags = ['--yes', '--tlog-upload=false', '--allow-insecure-registry', '--key', keyFile];
    await runCosign(COSIGN_2, ['sign', ...flags, image]);
    for (const [type, file] of [
      ['slsaprovenance1', 'provenance.in'],
      ['cyclonedx', 'cyclonedx.in'],
    ] as const) {
      const predicate = join(place, file);
      await runCosign(COSIGN_2, ['attest', ...flags, '--type', type, '--predicate', predicate, image]);
    }
    // The registry of the tests has no TLS, and its signatures are in no log.
    const cosign = `#!/bin/sh
verb=$1; shift
case $verb in *-blob-*) ;; *) set -- --allow-insecure-registry "$@";; esac
PATH=$REAL_PATH exec cosign "$verb" --insecure-ignore-tlog=true "$@"
`;
    await writeFile(join(place, 'bin/cosign'), cosign, { mode: 0o755 });
  });
  afterAll(() => keys.remove());

  test('and finds them whole', () => {
    expect(commands.length).toBeGreaterThan(20);
    expect(follow(commands)).toContain(chained.seal.slice('sha256:'.length));
  });

  test('and finds another source, another output and another receipt', async () => {
    const from = (part: string): string[] => commands.slice(commands.findIndex((one) => one.includes(part)));
    const change = async (name: string, find: RegExp | string, put: string): Promise<() => Promise<void>> => {
      const text = await readFile(join(place, name), 'utf8');
      await writeFile(join(place, name), text.replace(find, put));
      return () => writeFile(join(place, name), text);
    };
    const changed: readonly [string, RegExp | string, string, readonly string[], RegExp][] = [
      ['source/sandbox.yaml', 'chained', 'Chained', from('externalParameters').slice(0, 1), /did NOT match/],
      [
        'receipt.json',
        '"payload":"ey',
        '"payload":"eyAg',
        from('jq .dsseEnvelope receipt.json').slice(0, 2),
        /Error/,
      ],
      ['stdout.txt', '7', '8', from('stdout.digest').slice(0, 1), /did NOT match/],
      ['stdout.txt', '7', '8', from('cmp stdout.txt').slice(0, 1), /cmp/],
      ['seal', /^./, 'x', from("'.subject[]").slice(0, 1), /diff/],
      ['receipt.json', /$/, ' ', from('replay.receipt').slice(0, 1), /did NOT match/],
    ];
    for (const [name, find, put, steps, words] of changed) {
      expect(() => follow(steps)).not.toThrow();
      const restore = await change(name, find, put);
      expect(() => follow(steps)).toThrow(words);
      await restore();
    }
  });
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
