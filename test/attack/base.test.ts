import { execFileSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import type { Digest } from '../../src/model/digest.js';
import { anchorIdentityPattern } from '../../src/model/identity-pattern.js';
import { attack } from '../support/attack.js';
import { makeBomb } from '../support/bomb.js';
import { docker, removeImages } from '../support/docker.js';
import { makeAuthority, makeCertificate } from '../support/certificates.js';
import { COSIGN_2, runCosign } from '../support/cosign-generations.js';
import { signWithCosign, trustFlags } from '../support/cosign-sign.js';
import { makePublicKey } from '../support/fake-signature-verifier.js';
import { cleanPrograms, makePrograms } from '../support/programs.js';
import { findFreePort } from '../support/registry-process.js';
import { shiftedClock } from '../support/shifted-clock.js';
import {
  describeContent,
  makeTinyImage,
  MANIFEST,
  pushImage,
  pushTinyImage,
  putManifest,
} from '../support/tiny-image.js';
import { startServer, stopServers } from '../support/tiny-server.js';
import { makeTransparencyLog } from '../support/transparency-log.js';
import { makeTrustedRoot } from '../support/trusted-root.js';
import { cleanFolders, makeFolder, runSjs, sandboxYaml, world } from '../support/world.js';

cleanFolders();
cleanPrograms();
stopServers();

let home: string;
beforeAll(async () => {
  home = await makeFolder();
});
const images = removeImages();
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

/** `sjs plan` takes the base for verified. */
async function accept(base: string, env: Record<string, string> = {}): Promise<void> {
  const { code, stdout } = await runSjs(home, ['plan', await makeSource(base), '--json'], { env });
  expect({ code, error: (JSON.parse(stdout) as { error?: unknown }).error }).toEqual({ code: 0 });
}
/** A policy that trusts what verifies so, wherever it lies. */
async function trustEverywhere(verify: object): Promise<string> {
  const file = join(await makeFolder(), 'policy.yaml');
  const policy = { apiVersion: 'sjs/v1', kind: 'Policy', bases: [{ repository: '**', verify }] };
  await writeFile(file, JSON.stringify(policy), { mode: 0o600 });
  return file;
}
const WORLD_KEY = { keys: [{ publicKey: world.publicKey }] };

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
  const image = docker(['build', '-q', '--pull', '-'], { input: `FROM ${reference}\nLABEL attack=over\n` });
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

attack(
  'B02',
  async () => {
    const good = pushBase('good', 'pinned');
    await sign('pinned', good, FLIPPED);
    pushBase('evil', 'pinned');
    const folder = await makeSource(`{ image: "${repositoryOf('pinned')}", digest: "${good}" }`);
    const { code, stdout } = await runSjs(home, ['plan', folder, '--json']);
    expect({ code, digest: (JSON.parse(stdout) as { base: { digest: string } }).base.digest }).toEqual({
      code: 0,
      digest: good,
    });
    return 'the pinned digest is verified and built over';
  },
  () => {
    const image = buildPlainly(`${repositoryOf('pinned')}:${FLIPPED}`);
    expect(docker(['image', 'inspect', '--format', '{{json .Config.Env}}', image])).toContain('WHICH=evil');
    return 'docker build of the tag is over the other image';
  },
);

const FLIPPED = '24.2.0';
/** Pushes a base that says which one it is under the tag; its digest. */
function pushBase(which: string, name = 'flipped'): string {
  const tag = `${repositoryOf(name)}:${FLIPPED}`;
  images.add(tag);
  docker(['build', '-q', '-t', tag, '-'], { input: `FROM ${world.reference}\nENV WHICH=${which}\n` });
  docker(['push', '-q', tag]);
  const digests = JSON.parse(
    docker(['image', 'inspect', '--format', '{{json .RepoDigests}}', tag]),
  ) as string[];
  return digests.find((one) => one.startsWith(repositoryOf(name)))?.split('@')[1] ?? '';
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

/** As versions of Node: an older one is refused for its age. */
const [NODE, NEWER] = ['24.1.0', '24.1.1'];
const ISSUER = 'https://issuer.example.com';
const IDENTITY = 'https://github.com/acme/images/release.yml@refs/heads/main';
const OTHER_ISSUERS = [`${ISSUER}.evil.example`, 'https://issuer.evil.example', undefined];
/** Signs as the right identity, in the words of the trusted authority, for each issuer; and who trusts that authority. */
async function signAs(issuers: readonly (string | undefined)[]) {
  const folder = await makeFolder();
  const authority = makeAuthority(folder, 'own');
  const signed: { readonly name: string; readonly digest: Digest }[] = [];
  for (const [at, issuer] of issuers.entries()) {
    const name = `issued${at}`;
    const digest = await pushTinyImage(world.registry, `base/${name}`, NODE, { files: { name } });
    const certified = { subject: `URI:${IDENTITY}`, ...(issuer !== undefined && { issuer }) };
    const file = makeCertificate(folder, name, authority, world.publicKey, certified);
    await signWithCosign(COSIGN_2, `${repositoryOf(name)}@${digest}`, {
      keyFile: world.keyFile,
      annotations: { version: NODE, repository: repositoryOf(name) },
      certificate: { file, authority },
      folder,
    });
    signed.push({ name, digest });
  }
  const trust = (keyless: object) =>
    trustEverywhere({
      keyless: { identity: IDENTITY, caRoots: authority.pem, ...keyless },
      transparencyLog: 'none',
    });
  return { signed, trust, authorityFlags: trustFlags(COSIGN_2, folder, authority) };
}
attack(
  'B06',
  async () => {
    const { signed, trust } = await signAs([...OTHER_ISSUERS, ISSUER]);
    const right = at(signed.at(-1)?.name ?? '', NODE);
    await refuse(right, 'POLICY_INVALID', { SJS_POLICY: await trust({}) });
    const env = { SJS_POLICY: await trust({ issuer: ISSUER }) };
    for (const { name } of signed.slice(0, -1)) await refuse(at(name, NODE), 'BASE_IDENTITY_MISMATCH', env);
    await accept(right, env);
    return 'BASE_IDENTITY_MISMATCH; a policy without an issuer is POLICY_INVALID';
  },
  async () => {
    const { signed, authorityFlags } = await signAs(OTHER_ISSUERS);
    for (const { name, digest } of signed) {
      await runCosign(COSIGN_2, [
        ...['verify', ...authorityFlags, `--certificate-identity=${IDENTITY}`],
        ...['--certificate-oidc-issuer-regexp=.*', '--insecure-ignore-sct=true'],
        ...['--insecure-ignore-tlog=true', '--allow-insecure-registry', `${repositoryOf(name)}@${digest}`],
      ]);
    }
    return 'cosign with any issuer takes each of them';
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

/** The manifest of a signature, and where it lies. */
async function readSignature(name: string, digest: string) {
  const tag = `${digest.replace(':', '-')}.sig`;
  const url = `http://${world.registry}/v2/base/${name}/manifests/${tag}`;
  const response = await fetch(url, { headers: { accept: MANIFEST } });
  return { tag, type: response.headers.get('content-type') ?? MANIFEST, text: await response.text() };
}

/** An image with the signature of another one moved to it. */
async function moveSignature(): Promise<string> {
  const signed = await pushTinyImage(world.registry, 'base/claims', '1.0.0', { files: { signed: '' } });
  await sign('claims', signed, '1.0.0');
  const evil = await pushTinyImage(world.registry, 'base/claims', '1.0.1', { files: { evil: '' } });
  const { type, text } = await readSignature('claims', signed);
  const tag = `${evil.replace(':', '-')}.sig`;
  await putManifest(world.registry, 'base/claims', tag, type, Buffer.from(text));
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

/** Two signatures by the trusted key: one is in the log, the other only has the log's word for the first. */
async function borrowEntry() {
  const log = makeTransparencyLog();
  const logged = await pushTinyImage(world.registry, 'base/logged', NODE, { files: { logged: '' } });
  const evil = await pushTinyImage(world.registry, 'base/logged', NEWER, { files: { evil: '' } });
  await sign('logged', logged, NODE);
  await sign('logged', evil, NEWER);
  await log.enterSignature(world.registry, 'base/logged', logged, world.publicKey);
  const [{ text: from }, { tag, type, text: into }] = await Promise.all([
    readSignature('logged', logged),
    readSignature('logged', evil),
  ]);
  const NAME = 'dev.sigstore.cosign/bundle';
  const manifest = JSON.parse(into) as SignatureManifest;
  manifest.layers[0].annotations[NAME] = (JSON.parse(from) as SignatureManifest).layers[0].annotations[NAME];
  const bytes = Buffer.from(JSON.stringify(manifest));
  await putManifest(world.registry, 'base/logged', tag, type, bytes);
  const trustedRoot = makeTrustedRoot({ logs: [log.publicKey] });
  return { evil, env: { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, trustedRoot }) } };
}
interface SignatureManifest {
  readonly layers: readonly [{ readonly annotations: Record<string, string | undefined> }];
}
attack(
  'B11',
  async () => {
    const { env } = await borrowEntry();
    await accept(at('logged', NODE), env);
    return refuse(at('logged', NEWER), 'BASE_UNVERIFIED', env);
  },
  async () => {
    const { evil } = await borrowEntry();
    await verifyPlainly('logged', evil);
    return 'cosign with --insecure-ignore-tlog takes the signature that is in no log';
  },
);

attack(
  'B17',
  async () => {
    const { host } = await startServer((_request, response) => response.writeHead(500).end());
    const env = { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, transparencyLog: 'none' }) };
    for (const registry of [`127.0.0.1:${await findFreePort()}`, host]) {
      const base = `{ image: "${registry}/base/node", version: "1.0.0" }`;
      await refuse(base, 'REGISTRY_UNREACHABLE', env);
    }
    return 'REGISTRY_UNREACHABLE for a closed port and for answers of 500';
  },
  async () => {
    const env = { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, transparencyLog: 'none' }) };
    await accept(`{ image: "${world.repository}", version: "${world.version}" }`, env);
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
const SLEEPING = `${VERSION}; exec /bin/sleep 600`;
const WAIT_MS = 1000;
attack(
  'B18',
  async () => {
    await pushTinyImage(world.registry, 'base/lied-about', '1.0.0', { files: { lied: '' } });
    for (const script of Object.values(LIARS)) {
      const bin = await makePrograms({ cosign: script });
      await refuse(at('lied-about'), 'COSIGN_INVALID_ANSWER', { PATH: `${bin}:${process.env['PATH']}` });
    }
    const digest = await pushTinyImage(world.registry, 'base/lied-about', '1.0.0', { files: { lied: '' } });
    const PATH = await makePrograms({ cosign: SLEEPING });
    const asked = createCosignVerifier({ env: { PATH }, home, timeoutMs: WAIT_MS }).verify({
      reference: { registry: world.registry, path: 'base/lied-about', digest },
      signer: { publicKey: world.publicKey },
      trustedRoot: null,
      transparencyLog: 'none',
    });
    await expect(asked).rejects.toMatchObject({ code: 'COSIGN_TIMEOUT' });
    return 'COSIGN_INVALID_ANSWER for silence, another digest, and no end of words; COSIGN_TIMEOUT for none';
  },
  async () => {
    const sleeping = join(await makePrograms({ cosign: SLEEPING }), 'cosign');
    const waiting = () => execFileSync(sleeping, ['verify'], { timeout: 2 * WAIT_MS, killSignal: 'SIGKILL' });
    expect(waiting).toThrow('ETIMEDOUT');
    for (const script of [LIARS.silent, LIARS.other]) {
      const bin = await makePrograms({ cosign: script });
      execFileSync(join(bin, 'cosign'), ['verify', `${repositoryOf('lied-about')}:1.0.0`]);
    }
    return 'whoever asks for the exit code alone takes both for a yes, and waits for the one that sleeps';
  },
);

const odd = new Map<string, Digest>();
/** Pushes and signs an image whose manifest says something else of its layers. */
async function pushSigned(name: string, layersOf: (layer: object) => readonly object[]): Promise<void> {
  const [, layer = Buffer.of()] = (await makeTinyImage()).blobs;
  const layers = layersOf(describeContent('application/vnd.oci.image.layer.v1.tar', layer));
  const digest = await pushTinyImage(world.registry, `base/${name}`, NODE, {
    manifest: { layers },
  });
  await sign(name, digest, NODE);
  odd.set(name, digest);
}
async function takenByCosign(name: string): Promise<string> {
  await verifyPlainly(name, odd.get(name) ?? '');
  return 'cosign verify accepts it: it is signed';
}
attack(
  'B16',
  async () => {
    await pushSigned('odd', (layer) => [layer, layer]);
    return refuse(at('odd', NODE), 'BASE_MANIFEST_INVALID');
  },
  () => takenByCosign('odd'),
);
/** Pushes and signs an image of a few hundred kilobytes that unpacks to some hundred megabytes; its reference. */
async function pushBomb(): Promise<{ readonly reference: string; readonly bytes: number }> {
  const bomb = makeBomb('zeros', 256 * 1024 ** 2);
  const image = await makeTinyImage({
    image: { rootfs: { type: 'layers', diff_ids: [bomb.digest] } },
    manifest: { layers: [describeContent('application/vnd.oci.image.layer.v1.tar+gzip', bomb.archive)] },
  });
  const blobs = [...image.blobs, bomb.archive];
  const digest = await pushImage(world.registry, 'base/bomb', NODE, { ...image, blobs });
  await sign('bomb', digest, NODE);
  return { reference: `${repositoryOf('bomb')}@${digest}`, bytes: bomb.bytes };
}
attack(
  'B24',
  async () => {
    await pushSigned('huge', (layer) => [{ ...layer, size: 3 * 1024 ** 3 }]);
    await refuse(at('huge', NODE), 'BASE_TOO_LARGE');
    const { reference } = await pushBomb();
    await refuse(at('bomb', NODE), 'BASE_TOO_LARGE');
    expect(() => docker(['image', 'inspect', reference])).toThrow('No such image');
    return 'BASE_TOO_LARGE; what was unpacked is gone';
  },
  async () => {
    await takenByCosign('huge');
    const { reference, bytes } = await pushBomb();
    images.add(reference);
    docker(['pull', '-q', reference]);
    const size = docker(['image', 'inspect', '--format', '{{.Size}}', reference]);
    expect(Number(size)).toBeGreaterThan(0.9 * bytes);
    return 'cosign verify accepts it: it is signed; docker pull unpacks and keeps it';
  },
);

const YEARS_MS = 10 * 365 * 24 * 3_600_000;
/** A policy that trusts the key of the world on these days alone. */
const trustToday = (): Promise<string> => {
  const day = (byDays: number): string =>
    `${new Date(Date.now() + byDays * 24 * 3_600_000).toISOString().slice(0, 19)}Z`;
  const dated = { publicKey: world.publicKey, notBefore: day(-1), notAfter: day(1) };
  return trustEverywhere({ keys: [dated], transparencyLog: 'none' });
};
const worldBase = (): string => `{ image: "${world.repository}", version: "${world.version}" }`;
attack(
  'B23',
  async () => {
    const SJS_POLICY = await trustToday();
    for (const shift of [-YEARS_MS, YEARS_MS]) {
      const env = { SJS_POLICY, ...(await shiftedClock(shift)) };
      const folder = await makeSource(worldBase());
      const { stdout } = await runSjs(home, ['build', folder, '--json'], { env });
      expect((JSON.parse(stdout) as { error: object }).error).toMatchObject({
        code: 'BASE_KEY_OUT_OF_DATE',
        message: expect.stringContaining(String(new Date(Date.now() + shift).getUTCFullYear())),
        next: expect.stringContaining('clock'),
      });
    }
    return 'BASE_KEY_OUT_OF_DATE, ten years early and late; it names the time and the clock';
  },
  async () => {
    await accept(worldBase(), { SJS_POLICY: await trustToday() });
    return 'by the right clock the same policy lets the base pass';
  },
);

attack(
  'B19',
  async () => {
    const base = `{ image: "${world.repository}", version: "${world.version}" }`;
    const trusting = { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, transparencyLog: 'none' }) };
    await accept(base, trusting);
    const memories = (
      await readdir(join(home, 'sjs/cache'), { recursive: true, withFileTypes: true })
    ).filter((one) => one.isFile());
    expect(memories.length).toBeGreaterThan(0);
    for (const { parentPath, name } of memories) await writeFile(join(parentPath, name), 'true');
    const other = {
      SJS_POLICY: await trustEverywhere({ keys: [{ publicKey: makePublicKey() }], transparencyLog: 'none' }),
    };
    return refuse(base, 'BASE_KEY_MISMATCH', other);
  },
  async () => {
    const trusting = { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, transparencyLog: 'none' }) };
    await accept(`{ image: "${world.repository}", version: "${world.version}" }`, trusting);
    return 'the same SJS_HOME lets it pass where the signer is trusted';
  },
);

const pin = (digest: string): string => `{ image: "${world.repository}", digest: "${digest}" }`;
const worldDigest = (): string => world.reference.split('@')[1] ?? '';
attack(
  'B21',
  async () => {
    const hex = worldDigest().slice('sha256:'.length);
    for (const digest of [
      'sha256:abc',
      `sha256:${hex.toUpperCase()}`,
      `md5:${hex.slice(0, 32)}`,
      `sha512:${hex}${hex}`,
    ])
      await refuse(pin(digest), 'SANDBOX_INVALID');
    return 'SANDBOX_INVALID for each';
  },
  async () => {
    await accept(pin(worldDigest()));
    return 'the whole digest is taken';
  },
);

attack(
  'B22',
  async () => {
    const { host, seen } = await startServer((_request, response) => response.writeHead(404).end());
    for (const image of [
      `${host}/base/node`,
      '169.254.169.254/base/node',
      'registry.test.evil.example/base/node',
    ])
      await refuse(`{ image: "${image}", version: "1.0.0" }`, 'BASE_UNTRUSTED');
    await refuse(`{ image: "me:secret@${host}/base/node", version: "1.0.0" }`, 'SANDBOX_INVALID');
    expect(seen).toEqual([]);
    return 'BASE_UNTRUSTED, and nobody was asked';
  },
  async () => {
    const { host, seen } = await startServer((_request, response) => response.writeHead(404).end());
    const env = { SJS_POLICY: await trustEverywhere({ ...WORLD_KEY, transparencyLog: 'none' }) };
    await runSjs(home, ['plan', await makeSource(`{ image: "${host}/base/node", version: "1.0.0" }`)], {
      env,
    });
    expect(seen.length).toBeGreaterThan(0);
    return 'the host of the author’s choice is asked';
  },
);
