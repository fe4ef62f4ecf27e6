import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import type { Digest } from '../../src/model/digest.js';
import { attack, CannotBeTried } from '../support/attack.js';
import { COSIGN_2, COSIGN_3, runCosign, type CosignGeneration } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { signWithCosign } from '../support/cosign-sign.js';
import { startReferrersProxy, type ReferrersProxy } from '../support/referrers-proxy.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { world } from '../support/world.js';

let made: Awaited<ReturnType<typeof makeCosignKeys>>;
let ours: CosignKey;
let theirs: CosignKey;
/** The registry of the world, with the referrers API that it lacks. */
let referrers: ReferrersProxy;

beforeAll(async () => {
  [made, referrers] = await Promise.all([makeCosignKeys(2), startReferrersProxy(world.registry)]);
  [ours, theirs] = made.keys as [CosignKey, CosignKey];
}, 60_000);
afterAll(() => Promise.all([made.remove(), referrers.stop()]));

const needCosign3 = (): void => {
  if (!existsSync(join(COSIGN_3.path.split(':')[0] ?? '', 'cosign')))
    throw new CannotBeTried('there is no cosign 3');
};

/** An image in the world's registry, by its digest. */
const push = (path: string): Promise<Digest> =>
  pushTinyImage(world.registry, `signed/${path}`, '1.0.0', { files: { path } });

const sign = (generation: CosignGeneration, host: string, path: string, digest: Digest, key: CosignKey) =>
  signWithCosign(generation, `${host}/signed/${path}@${digest}`, {
    keyFile: key.keyFile,
    annotations: { version: '1.0.0' },
    folder: made.folder,
  });

/** How many signatures by the key there are, as a rule that trusts it alone finds them; else the refusal's code. */
const ask = (
  generation: CosignGeneration,
  host: string,
  path: string,
  digest: Digest,
  key: CosignKey,
): Promise<number | string> =>
  createCosignVerifier({ env: { PATH: generation.path }, home: made.folder })
    .verify({
      reference: { registry: host, path: `signed/${path}`, digest },
      signer: { publicKey: key.publicKey },
      trustedRoot: null,
      transparencyLog: 'none',
    })
    .then(
      (found) => found.length,
      (error: unknown) => (error as { code: string }).code,
    );

/** The three places that a signature can lie in: under a tag, in the fallback index, as a referrer. */
const places = (): readonly (readonly [CosignGeneration, string, string])[] => [
  [COSIGN_2, world.registry, 'b12-tag'],
  [COSIGN_3, world.registry, 'b12-fallback'],
  [COSIGN_3, referrers.host, 'b12-referrer'],
];
const inPlaces = async (key: () => CosignKey): Promise<(number | string)[]> => {
  const found: (number | string)[] = [];
  for (const [generation, host, path] of places()) {
    const digest = await push(path);
    if (key() === ours) await sign(generation, host, path, digest, theirs);
    found.push(await ask(COSIGN_3, host, path, digest, key()));
  }
  return found;
};
attack(
  'B12',
  async () => {
    needCosign3();
    expect(await inPlaces(() => ours)).toEqual(Array(3).fill('BASE_KEY_MISMATCH'));
    return 'BASE_KEY_MISMATCH in each of the three';
  },
  async () => {
    expect(await inPlaces(() => theirs)).toEqual([1, 1, 1]);
    return 'under a rule that trusts them each of the three verifies';
  },
);

attack(
  'B13',
  async () => {
    needCosign3();
    const digest = await push('b13');
    await sign(COSIGN_2, referrers.host, 'b13', digest, theirs);
    await sign(COSIGN_3, referrers.host, 'b13', digest, ours);
    expect(await ask(COSIGN_3, referrers.host, 'b13', digest, ours)).toBe(1);
    referrers.forget();
    expect(await ask(COSIGN_3, referrers.host, 'b13', digest, ours)).toBe('BASE_KEY_MISMATCH');
    return 'BASE_KEY_MISMATCH: what is left must meet the same rule';
  },
  async () => {
    const digest = await push('b13');
    expect(await ask(COSIGN_3, referrers.host, 'b13', digest, theirs)).toBe(1);
    return 'where the old signer is still trusted, the old signature verifies';
  },
);

const attestation = { host: () => world.registry, path: 'b14' };
attack(
  'B14',
  async () => {
    needCosign3();
    const digest = await push(attestation.path);
    const predicate = join(made.folder, 'predicate.json');
    await writeFile(predicate, '{}');
    await runCosign(COSIGN_2, [
      ...['attest', '--key', ours.keyFile, '--tlog-upload=false', '--yes', '--allow-insecure-registry'],
      ...['--predicate', predicate, '--type', 'cyclonedx'],
      `${attestation.host()}/signed/${attestation.path}@${digest}`,
    ]);
    for (const generation of [COSIGN_2, COSIGN_3]) {
      const said = await ask(generation, attestation.host(), attestation.path, digest, ours);
      expect(said).toBe('BASE_UNVERIFIED');
    }
    return 'BASE_UNVERIFIED with both generations';
  },
  async () => {
    const path = 'b14-bundle';
    const digest = await push(path);
    const name = `${world.registry}/signed/${path}@${digest}`;
    const predicate = join(made.folder, 'predicate.json');
    const config = join(made.folder, 'none.json');
    const root = join(made.folder, 'root.json');
    await writeFile(
      config,
      `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}`,
    );
    await writeFile(root, '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}');
    await runCosign(COSIGN_3, [
      ...['attest', '--key', ours.keyFile, '--yes', '--allow-insecure-registry', '--predicate', predicate],
      ...['--signing-config', config, '--trusted-root', root, '--type', 'cyclonedx', name],
    ]);
    const publicFile = ours.keyFile.replace(/\.key$/, '.pub');
    const flags = ['--key', publicFile, '--insecure-ignore-tlog=true', '--allow-insecure-registry'];
    // It exits 0: whoever goes by that alone takes an attestation for a signature.
    expect(await runCosign(COSIGN_3, ['verify', ...flags, name])).toContain('https://cyclonedx.org/bom');
    expect(await ask(COSIGN_3, world.registry, path, digest, ours)).toBe('BASE_UNVERIFIED');
    return 'cosign 3 verify exits 0 with nothing but an attestation by the key';
  },
);
