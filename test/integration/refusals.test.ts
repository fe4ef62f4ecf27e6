import { execFileSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Digest } from '../../src/model/digest.js';
import { makeCosignKeys } from '../support/cosign-keys.js';
import { cleanPrograms, makePrograms } from '../support/programs.js';
import { startServer, stopServers } from '../support/tiny-server.js';
import { MANIFEST, pushTinyImage, type TinyImageOptions } from '../support/tiny-image.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
cleanPrograms();
stopServers();

const HOST = world.registry;
/** Whatever was built of these sandboxes; other tests build at the same time. */
const builtImages = (): string =>
  execFileSync('docker', ['images', '-aq', '--filter', 'label=dev.sjs.name=refused'], { encoding: 'utf8' });

let home: string;
let keys: Awaited<ReturnType<typeof makeCosignKeys>>;
let policyFile: string;

beforeAll(async () => {
  home = await makeFolder();
  keys = await makeCosignKeys(2);
  policyFile = join(home, 'policy.yaml');
  const key = (keys.keys[0]?.publicKey ?? '').trim().replace(/^/gm, '            ');
  await writeFile(
    policyFile,
    `apiVersion: sjs/v1\nkind: Policy\nbases:\n  - repository: ${HOST}/tiny/*\n    verify:\n      transparencyLog: none\n      keys:\n        - publicKey: |\n${key}\n`,
    { mode: 0o600 },
  );
});

afterAll(() => keys.remove());

/** Pushes a tiny base and signs it by the trusted key (0), another (1), or nobody. */
async function makeBase(
  name: string,
  tag: string,
  options: TinyImageOptions & { signer?: 0 | 1; version?: string } = {},
): Promise<Digest> {
  const digest = await pushTinyImage(HOST, `tiny/${name}`, tag, options);
  if (options.signer !== undefined)
    sign(`${HOST}/tiny/${name}`, digest, options.version ?? tag, options.signer);
  return digest;
}

function sign(repository: string, digest: Digest, version: string, signer: 0 | 1): void {
  const flags = [
    '--tlog-upload=false',
    '--yes',
    '--allow-insecure-registry',
    '-a',
    `version=${version}`,
    '-a',
    `repository=${repository}`,
  ];
  execFileSync(
    'cosign',
    ['sign', '--key', keys.keys[signer]?.keyFile ?? '', ...flags, `${repository}@${digest}`],
    {
      env: { ...process.env, COSIGN_PASSWORD: '' },
      stdio: 'pipe',
    },
  );
}

interface Refusal {
  readonly exit: number;
  readonly code: string;
  readonly next: unknown;
  readonly left: readonly string[];
}

/** Builds over a base and says how it was refused, and what lies in the folder afterwards. */
async function refuse(
  base: string,
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): Promise<Refusal> {
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('refused', `  base: ${base}\n`),
    'index.js': '1',
    ...files,
  });
  const { code: exit, stdout } = await runSjs(home, ['build', folder, '--json'], {
    env: { SJS_POLICY: policyFile, ...env },
  });
  const { error } = JSON.parse(stdout) as { error: { code: string; next: unknown } };
  return {
    exit,
    code: error.code,
    next: error.next,
    left: (await readdir(folder)).filter(
      (name) => !['sandbox.yaml', 'index.js', ...Object.keys(files)].includes(name),
    ),
  };
}

const expectRefusal = async (refusal: Promise<Refusal>, code: string, exit: number): Promise<void> => {
  expect(await refusal).toEqual({ exit, code, next: expect.any(String), left: [] });
  expect(builtImages()).toBe('');
};

const at = (name: string, version = '1.0.0'): string =>
  `{ image: "${HOST}/tiny/${name}", version: "${version}" }`;

describe('verification refuses, each under its own code, and builds nothing', () => {
  test('an unsigned base', async () => {
    await makeBase('unsigned', '1.0.0');
    await expectRefusal(refuse(at('unsigned')), 'BASE_UNVERIFIED', 3);
  });

  test('another key’s signature', async () => {
    await makeBase('stranger', '1.0.0', { signer: 1 });
    await expectRefusal(refuse(at('stranger')), 'BASE_KEY_MISMATCH', 3);
  });

  test('a valid signature moved from another image', async () => {
    const signed = await makeBase('moved', '1.0.0', { signer: 0 });
    const evil = await makeBase('moved', '1.0.1', { files: { evil: 'x' } });
    const tagOf = (digest: Digest): string => `${digest.replace(':', '-')}.sig`;
    const url = (tag: string): string => `http://${HOST}/v2/tiny/moved/manifests/${tag}`;
    const manifest = await fetch(url(tagOf(signed)), { headers: { accept: MANIFEST } });
    const copied = await fetch(url(tagOf(evil)), {
      method: 'PUT',
      headers: { 'content-type': manifest.headers.get('content-type') ?? '' },
      body: await manifest.text(),
    });
    expect(copied.status).toBe(201);
    await expectRefusal(refuse(at('moved', '1.0.1')), 'BASE_DIGEST_MISMATCH', 3);
  });

  test('an old image served under a newer version’s tag', async () => {
    const old = { files: { old: 'x' } };
    await makeBase('downgraded', '1.0.0', { ...old, signer: 0 });
    await makeBase('downgraded', '1.1.0', old);
    await expectRefusal(refuse(at('downgraded', '>=1 <2')), 'BASE_VERSION_MISMATCH', 3);
  });

  test('a base signed for another repository', async () => {
    const digest = await makeBase('impostor', '1.0.0');
    sign(`${HOST}/tiny/impostor`, digest, '1.0.0', 1);
    execFileSync(
      'cosign',
      [
        'sign',
        '--key',
        keys.keys[0]?.keyFile ?? '',
        '--tlog-upload=false',
        '--yes',
        '--allow-insecure-registry',
        '-a',
        'version=1.0.0',
        '-a',
        `repository=${HOST}/tiny/original`,
        `${HOST}/tiny/impostor@${digest}`,
      ],
      {
        env: { ...process.env, COSIGN_PASSWORD: '' },
        stdio: 'pipe',
      },
    );
    await expectRefusal(refuse(at('impostor')), 'BASE_REPOSITORY_MISMATCH', 3);
  });

  test('an untrusted repository, before anything is asked of its host', async () => {
    const { host, seen } = await startServer((_, response) => response.writeHead(404).end());
    await expectRefusal(refuse(`{ image: "${host}/elsewhere/node", version: "1.0.0" }`), 'BASE_UNTRUSTED', 4);
    expect(seen).toEqual([]);
  });

  test('a base with our labels', async () => {
    await makeBase('labelled', '1.0.0', { config: { Labels: { 'dev.sjs.plan': '{}' } }, signer: 0 });
    await expectRefusal(refuse(at('labelled')), 'BASE_CONFIG_REFUSED', 3);
  });

  test('a version that nobody published', async () => {
    await expectRefusal(refuse(at('unsigned', '>=9')), 'BASE_VERSION_NOT_FOUND', 1);
  });

  test('a lock that names other content than its base, or another image: everything in it is verified anew', async () => {
    const evil = await makeBase('locked', '1.0.0', { files: { evil: 'x' } });
    const lock = {
      lockVersion: 1,
      formatVersion: 1,
      packages: [],
      template: { name: 'node', digest: evil },
      base: {
        image: `${HOST}/tiny/locked`,
        version: '1.0.0',
        digest: evil,
        manifests: { 'linux/amd64': evil },
        signer: evil,
      },
    };
    await expectRefusal(
      refuse(at('locked'), {}, { 'sandbox.lock': JSON.stringify(lock) }),
      'BASE_UNVERIFIED',
      3,
    );
  });
});

describe('what is missing, hanging or lying is a refusal of its own kind', () => {
  beforeAll(async () => {
    await makeBase('signed', '1.0.0', { signer: 0 });
  });

  test('no registry', async () => {
    await expectRefusal(
      refuse('{ image: "127.0.0.1:9/tiny/node", version: "1.0.0" }', { SJS_POLICY: await trustAll() }),
      'REGISTRY_UNREACHABLE',
      5,
    );
  });

  test('no engine', async () => {
    await expectRefusal(
      refuse(at('signed'), { DOCKER_HOST: 'unix:///nonexistent/docker.sock' }),
      'ENGINE_UNREACHABLE',
      5,
    );
  });

  test('an engine over plain tcp', async () => {
    const { exit } = await refuse(at('signed'), { DOCKER_HOST: 'tcp://127.0.0.1:9' });
    expect(exit).toBe(5);
  });

  test('no cosign', async () => {
    const bin = await makePrograms();
    await symlink(process.execPath, join(bin, 'node'));
    await expectRefusal(refuse(at('signed'), { PATH: bin }), 'COSIGN_MISSING', 5);
  });

  test.each([
    ['says nothing and succeeds', 'exit 0', 'COSIGN_INVALID_ANSWER', 3],
    ['says yes for ever', 'exec yes', 'COSIGN_INVALID_ANSWER', 3],
    [
      'names another digest',
      `[ "$1" = version ] && { echo '{"gitVersion":"v2.5.0"}'; exit; }; echo '[{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"sha256:${'0'.repeat(64)}"},"type":"cosign container image signature"},"optional":{"version":"1.0.0"}}]'`,
      'COSIGN_INVALID_ANSWER',
      3,
    ],
    ['is too old', `echo '{"gitVersion":"v2.4.0"}'`, 'COSIGN_UNSUPPORTED', 5],
  ])('a cosign that %s', async (_name, script, code, exit) => {
    const bin = await makePrograms({ cosign: script });
    await expectRefusal(refuse(at('signed'), { PATH: `${bin}:${process.env['PATH']}` }), code, exit);
  });

  /** A policy that trusts any repository by the trusted key. */
  async function trustAll(): Promise<string> {
    const folder = await makeFolder();
    await mkdir(join(folder, 'p'));
    const file = join(folder, 'p/policy.yaml');
    const key = (keys.keys[0]?.publicKey ?? '').trim().replace(/^/gm, '            ');
    await writeFile(
      file,
      `apiVersion: sjs/v1\nkind: Policy\nbases:\n  - repository: "**"\n    verify:\n      transparencyLog: none\n      keys:\n        - publicKey: |\n${key}\n`,
      { mode: 0o600 },
    );
    return file;
  }
});

test('every malformed sandbox.yaml leaves nothing behind and exits with 2', async () => {
  const yaml = sandboxYaml('refused');
  for (const text of [
    'a: &x [1]\nb: *x',
    `${yaml}  entrypont: x\n`,
    `${yaml}  runtime: gvisor\n`,
    '<<: {}',
    '%YAML 1.1\n---\na: 1',
    '',
  ]) {
    const folder = await makeFolder({ 'sandbox.yaml': text, 'index.js': '1' });
    const result = await runSjs(home, ['build', folder, '--json'], { env: { SJS_POLICY: policyFile } });
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout)).toMatchObject({
      error: { code: expect.any(String), message: expect.any(String), next: expect.any(String) },
    });
    expect(await readdir(folder)).toEqual(['index.js', 'sandbox.yaml']);
  }
  expect(builtImages()).toBe('');
});
