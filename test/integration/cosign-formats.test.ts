import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import type { Digest } from '../../src/model/digest.js';
import {
  COSIGN_2,
  COSIGN_3,
  describeCosigns,
  describeWithCosign3,
  runCosign,
} from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { signWithCosign } from '../support/cosign-sign.js';
import { startReferrersProxy, type ReferrersProxy } from '../support/referrers-proxy.js';
import { startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { cleanFolders, makeFolder, runSjs } from '../support/world.js';

jest.setTimeout(60_000);
cleanFolders();

let running: RunningRegistry;
let referrers: ReferrersProxy;
let made: Awaited<ReturnType<typeof makeCosignKeys>>;
let ours: CosignKey;
let theirs: CosignKey;
beforeAll(async () => {
  [running, made] = await Promise.all([startRegistry(), makeCosignKeys(2)]);
  [ours, theirs] = made.keys as [CosignKey, CosignKey];
  referrers = await startReferrersProxy(running.host);
});
afterAll(async () => {
  await referrers?.stop();
  await Promise.all([running?.stop(), made?.remove()]);
});

/** Pushes an image whose content is its path. */
const push = (path: string): Promise<Digest> =>
  pushTinyImage(running.host, path, '1.0.0', { files: { path } });

/** Has a cosign sign version 1.0.0. */
const sign = (
  generation: typeof COSIGN_2,
  host: string,
  path: string,
  digest: Digest,
  key = ours,
): Promise<void> =>
  signWithCosign(generation, `${host}/${path}@${digest}`, {
    keyFile: key.keyFile,
    annotations: { version: '1.0.0', repository: `registry.example.com/${path}` },
    folder: made.folder,
  });

const ask = (generation: typeof COSIGN_2, host: string, path: string, digest: Digest, key = ours) =>
  createCosignVerifier({ env: { PATH: generation.path }, home: made.folder }).verify({
    reference: { registry: host, path, digest },
    signer: { publicKey: key.publicKey },
    trustedRoot: null,
    transparencyLog: 'none',
  });

const status = async (host: string, path: string, tag: string): Promise<number> => {
  const response = await fetch(`http://${host}/v2/${path}/manifests/${tag}`, {
    headers: {
      accept: ['manifest', 'index'].map((kind) => `application/vnd.oci.image.${kind}.v1+json`).join(', '),
    },
  });
  await response.body?.cancel();
  return response.status;
};

describeCosigns('the places where a signature can be', (generation) => {
  const own = generation.name.replace(' ', '');

  test('what cosign 2 signs lies under a tag, and verifies to the same with both (ATTACKS B12)', async () => {
    const path = `legacy/${own}`;
    const digest = await push(path);
    await sign(COSIGN_2, running.host, path, digest);
    expect(await status(running.host, path, `${digest.replace(':', '-')}.sig`)).toBe(200);
    await expect(ask(generation, running.host, path, digest)).resolves.toMatchObject([
      { digest, annotations: { version: '1.0.0', repository: `registry.example.com/${path}` } },
    ]);
    await expect(ask(generation, running.host, path, digest, theirs)).rejects.toMatchObject({
      code: 'BASE_KEY_MISMATCH',
    });
  });

  test('an attestation by the key is no signature (ATTACKS B14)', async () => {
    const path = `attested/${own}`;
    const digest = await push(path);
    const predicate = join(made.folder, 'predicate.json');
    await writeFile(predicate, '{}');
    await runCosign(COSIGN_2, [
      ...['attest', '--key', ours.keyFile, '--tlog-upload=false', '--yes', '--allow-insecure-registry'],
      ...['--predicate', predicate, '--type', 'custom', `${running.host}/${path}@${digest}`],
    ]);
    await expect(ask(generation, running.host, path, digest)).rejects.toMatchObject({
      code: 'BASE_UNVERIFIED',
    });
  });

  test('sjs base import signs, base verify believes it, doctor names the version', async () => {
    const path = `cli/${own}`;
    await push(`src/${own}`);
    const home = await makeFolder();
    const folder = join(home, 'p');
    await mkdir(folder, { mode: 0o700 });
    const policyFile = join(folder, 'policy.yaml');
    const target = `${running.host}/${path}`;
    const env = { PATH: generation.path, SJS_POLICY: policyFile, COSIGN_PASSWORD: '' };
    const write = (deny = '', key = ours) =>
      writeFile(
        policyFile,
        JSON.stringify({
          apiVersion: 'sjs/v1',
          kind: 'Policy',
          bases: [
            { repository: target, verify: { keys: [{ publicKey: key.publicKey }], transparencyLog: 'none' } },
          ],
          deny: { digests: deny === '' ? [] : [deny] },
        }),
        { mode: 0o600 },
      );
    const verify = async () => {
      const { code, stdout } = await runSjs(home, ['base', 'verify', `${target}:1.0.0`, '--json'], { env });
      return { code, answer: JSON.parse(stdout) as { digest: string; error?: { code: string } } };
    };
    await write();
    const source = `${running.host}/src/${own}:1.0.0`;
    const imported = await runSjs(
      home,
      ['base', 'import', source, `${target}:1.0.0`, '--sign-key', ours.keyFile],
      { env },
    );
    expect(imported).toMatchObject({ code: 0 });
    const { code, answer } = await verify();
    expect({ code, answer }).toMatchObject({
      code: 0,
      answer: { version: '1.0.0', signature: { annotations: { version: '1.0.0', repository: target } } },
    });

    await write(answer.digest);
    await expect(verify()).resolves.toMatchObject({ code: 4, answer: { error: { code: 'BASE_DENIED' } } });
    await write('', theirs);
    await expect(verify()).resolves.toMatchObject({
      code: 3,
      answer: { error: { code: 'BASE_KEY_MISMATCH' } },
    });

    const doctor = await runSjs(home, ['doctor'], { env });
    expect(doctor.stdout).toMatch(generation === COSIGN_2 ? /cosign 2\.\d+\.\d+/ : /cosign 3\.\d+\.\d+/);
  });
});

describeWithCosign3('a bundle of cosign 3', () => {
  const expectBundle = async (host: string, path: string, digest: Digest): Promise<void> => {
    await expect(ask(COSIGN_3, host, path, digest)).resolves.toMatchObject([
      { digest, annotations: { version: '1.0.0', repository: `registry.example.com/${path}` } },
    ]);
    await expect(ask(COSIGN_3, host, path, digest, theirs)).rejects.toMatchObject({
      code: 'BASE_KEY_MISMATCH',
    });
    // cosign 2 does not know bundles: to it there is no signature.
    await expect(ask(COSIGN_2, host, path, digest)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
  };

  test('lies under the fallback tag in a registry without the referrers API (ATTACKS B12)', async () => {
    const digest = await push('bundle/fallback');
    await sign(COSIGN_3, running.host, 'bundle/fallback', digest);
    expect(await status(running.host, 'bundle/fallback', digest.replace(':', '-'))).toBe(200);
    expect(await status(running.host, 'bundle/fallback', `${digest.replace(':', '-')}.sig`)).toBe(404);
    await expectBundle(running.host, 'bundle/fallback', digest);
  });

  test('is a referrer in one with it', async () => {
    const digest = await push('bundle/referrer');
    await sign(COSIGN_3, referrers.host, 'bundle/referrer', digest);
    expect(await status(running.host, 'bundle/referrer', digest.replace(':', '-'))).toBe(404);
    const before = referrers.questions();
    await expectBundle(referrers.host, 'bundle/referrer', digest);
    expect(referrers.questions()).toBeGreaterThan(before);
  });
});

describeCosigns('deleted bundles (ATTACKS B13)', (generation) => {
  test('leave what lies under the tag, which must meet the same rule', async () => {
    const path = `downgrade/${generation.name.replace(' ', '')}`;
    const digest = await push(path);
    await sign(COSIGN_2, referrers.host, path, digest, theirs);
    if (generation === COSIGN_3) {
      await sign(COSIGN_3, referrers.host, path, digest, ours);
      await expect(ask(generation, referrers.host, path, digest)).resolves.toHaveLength(1);
      referrers.forget();
    }
    await expect(ask(generation, referrers.host, path, digest)).rejects.toMatchObject({
      code: 'BASE_KEY_MISMATCH',
    });
  });
});
