import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import { createRegistry } from '../../src/adapters/registry/registry-client.js';
import { systemClock } from '../../src/ports/clock.js';
import type { Registry } from '../../src/ports/registry.js';
import type { SignatureVerifier } from '../../src/ports/signature-verifier.js';
import { parsePolicy } from '../../src/stages/policy/parse-policy.js';
import { resolveBase } from '../../src/stages/resolve/resolve-base.js';
import { verifyBase } from '../../src/stages/verify/verify-base.js';
import {
  makeAuthority,
  makeCertificate,
  type CertificateAuthority,
  type Certified,
} from '../support/certificates.js';
import { describeCosigns, runCosign } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { signWithCosign, trustFlags } from '../support/cosign-sign.js';
import { makePublicKey } from '../support/fake-signature-verifier.js';
import { startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { makeTrustedRoot } from '../support/trusted-root.js';

jest.setTimeout(60_000);

const PLATFORM = { os: 'linux', architecture: 'amd64' };
const ISSUER = 'https://issuer.example.com';
const IDENTITY = 'https://github.com/acme/images/release.yml@refs/heads/main';
const RIGHT: Certified = { subject: `URI:${IDENTITY}`, issuer: ISSUER };

describeCosigns('certificates of an own authority', (generation) => {
  let running: RunningRegistry;
  let made: Awaited<ReturnType<typeof makeCosignKeys>>;
  let key: CosignKey;
  let registry: Registry;
  let cosign: SignatureVerifier;
  let authority: CertificateAuthority;
  let evil: CertificateAuthority;
  let count = 0;
  beforeAll(async () => {
    [running, made] = await Promise.all([startRegistry(), makeCosignKeys(1, generation)]);
    [key] = made.keys as [CosignKey];
    registry = createRegistry({ env: {}, home: made.folder });
    cosign = createCosignVerifier({ env: { PATH: generation.path }, home: made.folder });
    authority = makeAuthority(made.folder, 'own');
    evil = makeAuthority(made.folder, 'evil');
  });
  afterAll(async () => {
    await Promise.all([running?.stop(), made?.remove()]);
  });

  /** Pushes an image of its own as version 1.0.0 and signs it with a certificate; null: with the bare key. */
  async function pushSigned(certified: Certified | null, by = authority): Promise<string> {
    count += 1;
    const path = `image${count}/node`;
    const digest = await pushTinyImage(running.host, path, '1.0.0', { files: { path } });
    const image = `${running.host}/${path}`;
    await signWithCosign(generation, `${image}@${digest}`, {
      keyFile: key.keyFile,
      annotations: { version: '1.0.0', repository: image },
      folder: made.folder,
      ...(certified && {
        certificate: {
          file: makeCertificate(made.folder, `leaf${count}`, by, key.publicKey, certified),
          authority: by,
        },
      }),
    });
    return image;
  }

  /** Verifies under a rule as it would stand in a policy. */
  async function check(image: string, verify: object) {
    const rules = { apiVersion: 'sjs/v1', kind: 'Policy', bases: [{ repository: image, verify }] };
    const policy = await parsePolicy(Buffer.from(JSON.stringify(rules)), '/policy.yaml', 'operator');
    const base = await resolveBase({ image, version: '1.0.0' }, PLATFORM, registry, null, { update: false });
    const requirement = { repository: image, alternatives: [policy.bases ?? []] };
    return verifyBase(base, requirement, cosign, systemClock);
  }

  const keyless = (changes: object = {}, caRoots = authority.pem) => ({
    keyless: {
      issuer: ISSUER,
      caRoots,
      ...('identityPattern' in changes ? {} : { identity: IDENTITY }),
      ...changes,
    },
    transparencyLog: 'none',
  });

  test('the right identity of the right issuer is accepted, exactly or by an expression', async () => {
    const image = await pushSigned(RIGHT);
    await expect(check(image, keyless())).resolves.toMatchObject({
      signedVersion: '1.0.0',
      signature: {
        signer: `${IDENTITY} (${ISSUER})`,
        keyFingerprint: null,
        keyless: { issuer: ISSUER, identity: IDENTITY, identityPattern: null, hasOwnRoots: true },
        annotations: { version: '1.0.0', repository: image },
      },
    });
    const identityPattern = '^https://github\\.com/acme/images/release\\.yml@refs/(?:heads|tags)/[a-z]+$';
    await expect(check(image, keyless({ identityPattern }))).resolves.toBeDefined();
  });

  test('so is an address', async () => {
    const image = await pushSigned({ subject: 'email:release@example.com', issuer: ISSUER });
    await expect(check(image, keyless({ identity: 'release@example.com' }))).resolves.toBeDefined();
    await expect(check(image, keyless({ identityPattern: '^[a-z]+@example\\.com$' }))).resolves.toBeDefined();
    await expect(check(image, keyless({ identity: 'release@example.co' }))).rejects.toMatchObject({
      code: 'BASE_IDENTITY_MISMATCH',
    });
  });

  test('another identity, or one that only begins or ends alike, is refused', async () => {
    const image = await pushSigned(RIGHT);
    for (const changes of [
      { identity: IDENTITY.replace('main', 'evil') },
      { identity: IDENTITY.slice(0, -1) },
      { identity: IDENTITY.slice(1) },
      { identityPattern: '^https://github\\.com/acme/images/release$' },
    ]) {
      await expect(check(image, keyless(changes))).rejects.toMatchObject({ code: 'BASE_IDENTITY_MISMATCH' });
    }
  });

  test('the right identity under the wrong issuer, or under none, is refused (ATTACKS B06)', async () => {
    for (const certified of [
      { ...RIGHT, issuer: 'https://issuer.evil.example' },
      { ...RIGHT, issuer: `${ISSUER}.evil.example` },
      { subject: RIGHT.subject },
    ]) {
      const image = await pushSigned(certified);
      await expect(check(image, keyless())).rejects.toMatchObject({ code: 'BASE_IDENTITY_MISMATCH' });
    }
  });

  test('the right identity and issuer in the word of another authority is refused', async () => {
    const image = await pushSigned(RIGHT, evil);
    await expect(check(image, keyless())).rejects.toMatchObject({
      code: 'BASE_IDENTITY_MISMATCH',
      message: expect.stringContaining('no trusted certificate authority'),
    });
    await expect(check(image, keyless({}, authority.pem + evil.pem))).resolves.toBeDefined();
  });

  test('each certificate of caRoots is an authority by itself, one that another vouches for too', async () => {
    const middle = makeAuthority(made.folder, 'middle', authority);
    const image = await pushSigned(RIGHT, middle);
    await expect(check(image, keyless({}, middle.pem))).resolves.toBeDefined();
    await expect(check(image, keyless({}, evil.pem))).rejects.toMatchObject({
      code: 'BASE_IDENTITY_MISMATCH',
    });
  });

  test('no signature, and one by a bare key, are refused', async () => {
    const image = await pushSigned(null);
    await expect(check(image, keyless())).rejects.toMatchObject({ code: 'BASE_IDENTITY_MISMATCH' });
    await pushTinyImage(running.host, 'unsigned/node', '1.0.0', { files: { unsigned: '' } });
    await expect(check(`${running.host}/unsigned/node`, keyless())).rejects.toMatchObject({
      code: 'BASE_UNVERIFIED',
    });
  });

  test('what is in no log is refused where the rule asks for one, of public Sigstore or one’s own', async () => {
    const image = await pushSigned(RIGHT);
    const trustedRoot = makeTrustedRoot({ logs: [makePublicKey()] });
    const inLog = { keyless: keyless().keyless, trustedRoot };
    await expect(check(image, inLog)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
  });

  describe('an expression (ATTACKS B07)', () => {
    test.each([
      'https://github.com/acme/images-evil/release.yml',
      'https://evil.example/?u=https://github.com/acme/images/release.yml',
      'https://github.com/acme/imagesX/release.yml',
      'https://githubXcom/acme/images/release.yml',
    ])('does not take %s', async (subject) => {
      const image = await pushSigned({ subject: `URI:${subject}`, issuer: ISSUER });
      const identityPattern = '^https://github\\.com/acme/images/.*$';
      await expect(check(image, keyless({ identityPattern }))).rejects.toMatchObject({
        code: 'BASE_IDENTITY_MISMATCH',
      });
      // What cosign itself makes of an expression without anchors, which no policy can state.
      const open = 'https://github.com/acme/images';
      await expect(
        runCosign(generation, [
          'verify',
          ...trustFlags(generation, made.folder, authority),
          `--certificate-identity-regexp=${open}`,
          `--certificate-oidc-issuer=${ISSUER}`,
          '--insecure-ignore-tlog=true',
          '--insecure-ignore-sct=true',
          `${image}:1.0.0`,
        ]),
      ).resolves.toContain('sha256:');
      await expect(check(image, keyless({ identityPattern: open }))).rejects.toMatchObject({
        code: 'POLICY_INVALID',
      });
    });
  });
});
