import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { anchorIdentityPattern } from '../../src/model/identity-pattern.js';
import { attack } from '../support/attack.js';
import { COSIGN_2, runCosign } from '../support/cosign-generations.js';
import { cleanPrograms, makePrograms } from '../support/programs.js';
import { findFreePort } from '../support/registry-process.js';
import { MANIFEST, pushTinyImage, putManifest } from '../support/tiny-image.js';
import { startServer, stopServers } from '../support/tiny-server.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
cleanPrograms();
stopServers();

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});
const images = new Set<string>();
afterAll(() => {
  for (const image of images) execFileSync('docker', ['image', 'rm', '-f', image], { stdio: 'ignore' });
});
const docker = (args: readonly string[], input = ''): string =>
  execFileSync('docker', args, { encoding: 'utf8', stdio: 'pipe', input, timeout: 60_000 }).trim();
const repositoryOf = (name: string): string => `${world.registry}/base/${name}`;

const makeSource = (base: string): Promise<string> =>
  makeFolder({ 'sandbox.yaml': sandboxYaml('over-evil', `  base: ${base}\n`), 'index.js': '1' });
const at = (name: string, version = '1.0.0'): string =>
  `{ image: "${repositoryOf(name)}", version: "${version}" }`;

/** `sjs build` over the base is refused with the code, and leaves no image. */
async function refuse(base: string, code: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await runSjs(home, ['build', await makeSource(base), '--json'], { env });
  expect((JSON.parse(stdout) as { error: { code: string } }).error.code).toBe(code);
  expect(docker(['images', '-q', '--filter', 'label=dev.sjs.name=over-evil'])).toBe('');
  return code;
}

async function sign(
  name: string,
  digest: string,
  version: string,
  env: Record<string, string> = {},
): Promise<void> {
  const annotations = ['-a', `version=${version}`, '-a', `repository=${repositoryOf(name)}`];
  const flags = ['--tlog-upload=false', '--yes', '--allow-insecure-registry', ...annotations];
  await runCosign(
    COSIGN_2,
    ['sign', '--key', world.keyFile, ...flags, `${repositoryOf(name)}@${digest}`],
    env,
  );
}
/** What somebody would ask cosign by hand. */
const verifyPlainly = (
  name: string,
  digest: string,
  flags: string[] = [],
  env: Record<string, string> = {},
) =>
  runCosign(
    COSIGN_2,
    [
      'verify',
      '--key',
      join(world.directory, 'base.pub'),
      '--insecure-ignore-tlog=true',
      '--allow-insecure-registry',
      ...flags,
      `${repositoryOf(name)}@${digest}`,
    ],
    env,
  );
function buildPlainly(reference: string): string {
  const image = docker(['build', '-q', '--pull', '-'], `FROM ${reference}\nLABEL attack=over\n`);
  images.add(image);
  return image;
}

attack(
  'B01',
  () => refuse(`{ image: "${world.repository}:${world.version}" }`, 'BASE_NOT_PINNED'),
  () => {
    buildPlainly(`${world.repository}:${world.version}`);
    return 'docker build takes whatever the tag names';
  },
);

const FLIPPED = '24.2.0';
/** Pushes a base that says which one it is under the tag; its digest. */
function pushBase(which: string): string {
  const tag = `${repositoryOf('flipped')}:${FLIPPED}`;
  images.add(tag);
  docker(['build', '-q', '-t', tag, '-'], `FROM ${world.reference}\nENV WHICH=${which}\n`);
  docker(['push', '-q', tag]);
  const digests = JSON.parse(
    docker(['image', 'inspect', '--format', '{{json .RepoDigests}}', tag]),
  ) as string[];
  return digests.find((one) => one.startsWith(repositoryOf('flipped')))?.split('@')[1] ?? '';
}
attack(
  'B03',
  async () => {
    await sign('flipped', pushBase('good'), FLIPPED);
    const yaml = sandboxYaml('over-good', `  base: ${at('flipped', FLIPPED)}\n`);
    const folder = await makeFolder({ 'sandbox.yaml': yaml, 'index.js': 'console.log(process.env.WHICH)' });
    expect(await runSjs(home, ['lock', folder])).toMatchObject({ code: 0 });
    pushBase('evil');
    await refuse(at('flipped', FLIPPED), 'BASE_UNVERIFIED');
    const tag = (await runSjs(home, ['build', folder])).stdout.trim();
    images.add(tag);
    expect(await runSjs(home, ['run', tag])).toMatchObject({ code: 0, stdout: 'good\n' });
    return 'the verified digest is built over; without a lock BASE_UNVERIFIED';
  },
  () => {
    const image = buildPlainly(`${repositoryOf('flipped')}:${FLIPPED}`);
    expect(docker(['image', 'inspect', '--format', '{{json .Config.Env}}', image])).toContain('WHICH=evil');
    return 'docker build of the tag is over the other image';
  },
);

attack(
  'B04',
  async () => {
    await pushTinyImage(world.registry, 'base/unsigned', '1.0.0', { files: { unsigned: '' } });
    return refuse(at('unsigned'), 'BASE_UNVERIFIED');
  },
  () => {
    buildPlainly(`${repositoryOf('unsigned')}:1.0.0`);
    return 'docker build asks for no signature';
  },
);

const LOOSE = 'https://github.com/acme/images';
const STRICT = '^https://github\\.com/acme/images/.*$';
const IMPOSTORS = [
  'https://github.com/acme/images-evil/x.yml@refs/heads/main',
  'https://evil.example/?u=https://github.com/acme/images',
];
async function validate(pattern: string): Promise<string> {
  const file = join(await makeFolder(), 'policy.yaml');
  const keyless = `{ issuer: "https://issuer.example.com", identityPattern: '${pattern}' }`;
  const rule = `bases:\n  - repository: r.example/x\n    verify: { keyless: ${keyless} }\n`;
  await writeFile(file, `apiVersion: sjs/v1\nkind: Policy\n${rule}`, { mode: 0o600 });
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('keyless'), 'index.js': '' });
  const { stdout } = await runSjs(home, ['validate', folder, '--json'], { env: { SJS_POLICY: file } });
  return (JSON.parse(stdout) as { error?: { code: string } }).error?.code ?? 'accepted';
}
attack(
  'B07',
  async () => {
    for (const pattern of [LOOSE, '^https://github\\.com/.*$', `${STRICT}|x`]) {
      expect(await validate(pattern)).toBe('POLICY_INVALID');
    }
    expect(await validate(STRICT)).toBe('accepted');
    for (const who of IMPOSTORS) expect(new RegExp(anchorIdentityPattern(STRICT)).test(who)).toBe(false);
    return 'POLICY_INVALID; the anchored one matches neither';
  },
  () => {
    for (const who of IMPOSTORS) expect(new RegExp(LOOSE).test(who)).toBe(true);
    return 'unanchored, it matches both';
  },
);

/** An image with the signature of another one moved to it. */
async function moveSignature(): Promise<string> {
  const signed = await pushTinyImage(world.registry, 'base/claims', '1.0.0', { files: { signed: '' } });
  await sign('claims', signed, '1.0.0');
  const evil = await pushTinyImage(world.registry, 'base/claims', '1.0.1', { files: { evil: '' } });
  const signatureOf = (digest: string): string => `${digest.replace(':', '-')}.sig`;
  const url = `http://${world.registry}/v2/base/claims/manifests/${signatureOf(signed)}`;
  const response = await fetch(url, { headers: { accept: MANIFEST } });
  const bytes = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? MANIFEST;
  await putManifest(world.registry, 'base/claims', signatureOf(evil), type, bytes);
  return evil;
}
attack(
  'B08',
  async () => {
    await moveSignature();
    for (const key of [
      'check-claims: false',
      'insecure-ignore-tlog: true',
      'allow-insecure-registry: true',
    ]) {
      await refuse(at('claims', '1.0.1').replace(' }', `, ${key} }`), 'SANDBOX_INVALID');
    }
    return refuse(at('claims', '1.0.1'), 'BASE_DIGEST_MISMATCH');
  },
  async () => {
    const evil = await moveSignature();
    await expect(verifyPlainly('claims', evil)).rejects.toThrow();
    await verifyPlainly('claims', evil, ['--check-claims=false']);
    return 'cosign with --check-claims=false takes the moved signature';
  },
);

attack(
  'B09',
  async () => {
    const digest = await pushTinyImage(world.registry, 'base/steered', '1.0.0', { files: { steered: '' } });
    const env = { COSIGN_REPOSITORY: `${world.registry}/attacker/signatures` };
    await sign('steered', digest, '1.0.0', env);
    return refuse(at('steered'), 'BASE_UNVERIFIED', {
      ...env,
      COSIGN_EXPERIMENTAL: '1',
      TUF_ROOT: '/nonexistent',
      SIGSTORE_ROOT_FILE: '/nonexistent',
    });
  },
  async () => {
    const digest = await pushTinyImage(world.registry, 'base/steered', '1.0.0', { files: { steered: '' } });
    await expect(verifyPlainly('steered', digest)).rejects.toThrow();
    await verifyPlainly('steered', digest, [], {
      COSIGN_REPOSITORY: `${world.registry}/attacker/signatures`,
    });
    return 'cosign with that environment looks where the attacker says';
  },
);

/** A policy that trusts whatever the key of the tests signed, wherever it lies. */
async function trustEverywhere(): Promise<string> {
  const file = join(await makeFolder(), 'policy.yaml');
  const key = world.publicKey.trim().replace(/^/gm, '            ');
  const verify = `    verify:\n      transparencyLog: none\n      keys:\n        - publicKey: |\n${key}\n`;
  await writeFile(file, `apiVersion: sjs/v1\nkind: Policy\nbases:\n  - repository: "**"\n${verify}`, {
    mode: 0o600,
  });
  return file;
}
attack(
  'B17',
  async () => {
    const { host } = await startServer((_request, response) => response.writeHead(500).end());
    const env = { SJS_POLICY: await trustEverywhere() };
    for (const registry of [`127.0.0.1:${await findFreePort()}`, host]) {
      const base = `{ image: "${registry}/base/node", version: "1.0.0" }`;
      await refuse(base, 'REGISTRY_UNREACHABLE', env);
    }
    return 'REGISTRY_UNREACHABLE for a closed port and for answers of 500';
  },
  async () => {
    const env = { SJS_POLICY: await trustEverywhere() };
    const base = `{ image: "${world.repository}", version: "${world.version}" }`;
    const planned = await runSjs(home, ['plan', await makeSource(base), '--json'], { env });
    expect(planned.code).toBe(0);
    return 'with a registry that answers, the same policy lets the base pass';
  },
);

const ZERO = `sha256:${'0'.repeat(64)}`;
const ANSWER = JSON.stringify([
  {
    critical: {
      identity: { 'docker-reference': 'x' },
      image: { 'docker-manifest-digest': ZERO },
      type: 'cosign container image signature',
    },
    optional: { version: '1.0.0' },
  },
]);
const VERSION = `[ "$1" = version ] && { echo '{"gitVersion":"v2.5.0"}'; exit; }`;
const LIARS = { silent: 'exit 0', other: `${VERSION}; echo '${ANSWER}'`, endless: `${VERSION}; exec yes` };
attack(
  'B18',
  async () => {
    await pushTinyImage(world.registry, 'base/lied-about', '1.0.0', { files: { lied: '' } });
    for (const script of Object.values(LIARS)) {
      const bin = await makePrograms({ cosign: script });
      await refuse(at('lied-about'), 'COSIGN_INVALID_ANSWER', { PATH: `${bin}:${process.env['PATH']}` });
    }
    return 'COSIGN_INVALID_ANSWER for silence, another digest, and no end';
  },
  async () => {
    for (const script of [LIARS.silent, LIARS.other]) {
      const bin = await makePrograms({ cosign: script });
      execFileSync(join(bin, 'cosign'), ['verify', `${repositoryOf('lied-about')}:1.0.0`]);
    }
    return 'whoever asks for the exit code alone takes both for a yes';
  },
);
