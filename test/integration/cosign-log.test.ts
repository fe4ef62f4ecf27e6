import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createCosignVerifier } from '../../src/adapters/cosign/cosign-verifier.js';
import type { Digest } from '../../src/model/digest.js';
import type { VerifyRequest } from '../../src/ports/signature-verifier.js';
import { makeAuthority, makeCertificate, type CertificateAuthority } from '../support/certificates.js';
import { COSIGN_2, COSIGN_3, describeCosigns, type CosignGeneration } from '../support/cosign-generations.js';
import { makeCosignKeys, type CosignKey } from '../support/cosign-keys.js';
import { signWithCosign } from '../support/cosign-sign.js';
import { startRegistry, type RunningRegistry } from '../support/registry-process.js';
import { pushTinyImage } from '../support/tiny-image.js';
import { makeTransparencyLog } from '../support/transparency-log.js';
import { makeTrustedRoot } from '../support/trusted-root.js';

jest.setTimeout(60_000);

const ISSUER = 'https://issuer.example.com';
const IDENTITY = 'https://github.com/acme/images/release.yml@refs/heads/main';

describeCosigns('a transparency log of one’s own', (generation) => {
  const log = makeTransparencyLog();
  const otherLog = makeTransparencyLog();
  let running: RunningRegistry;
  let made: Awaited<ReturnType<typeof makeCosignKeys>>;
  let key: CosignKey;
  let authority: CertificateAuthority;
  let certificate: string;
  beforeAll(async () => {
    [running, made] = await Promise.all([startRegistry(), makeCosignKeys(1, generation)]);
    [key] = made.keys as [CosignKey];
    authority = makeAuthority(made.folder, 'own');
    certificate = makeCertificate(made.folder, 'leaf', authority, key.publicKey, {
      subject: `URI:${IDENTITY}`,
      issuer: ISSUER,
    });
  });
  afterAll(async () => {
    await Promise.all([running?.stop(), made?.remove()]);
  });

  /** Pushes and signs an image, and enters the signature in the log when there is one. */
  async function pushSigned(
    path: string,
    {
      by = COSIGN_2,
      into = null,
      certified = false,
    }: { by?: CosignGeneration; into?: typeof log | null; certified?: boolean },
  ): Promise<Digest> {
    const digest = await pushTinyImage(running.host, path, '1.0.0', { files: { path } });
    await signWithCosign(by, `${running.host}/${path}@${digest}`, {
      keyFile: key.keyFile,
      folder: made.folder,
      ...(certified && { certificate: { file: certificate, authority } }),
    });
    const signer = certified ? readFileSync(certificate, 'utf8') : key.publicKey;
    await into?.enterSignature(running.host, path, digest, signer);
    return digest;
  }

  const ask = (path: string, digest: Digest, changes: Partial<VerifyRequest> = {}) =>
    createCosignVerifier({ env: { PATH: generation.path }, home: made.folder }).verify({
      reference: { registry: running.host, path, digest },
      signer: { publicKey: key.publicKey },
      trustedRoot: makeTrustedRoot({ logs: [log.publicKey] }),
      transparencyLog: 'required',
      ...changes,
    });

  test('has the signature of a key: accepted, with no way to Sigstore', async () => {
    const digest = await pushSigned('logged/key', { into: log });
    await expect(ask('logged/key', digest)).resolves.toHaveLength(1);
  });

  test('has the signature of a certificate, by own authorities', async () => {
    const digest = await pushSigned('logged/certificate', { into: log, certified: true });
    const signer = { issuer: ISSUER, identity: IDENTITY, identityPattern: null, caRoots: authority.pem };
    await expect(ask('logged/certificate', digest, { signer })).resolves.toHaveLength(1);
    await expect(
      ask('logged/certificate', digest, { signer: { ...signer, issuer: `${ISSUER}.evil` } }),
    ).rejects.toMatchObject({ code: 'BASE_IDENTITY_MISMATCH' });
  });

  test('and a log of certificates: a certificate that is in none is refused', async () => {
    const digest = await pushSigned('unlogged/certificate', { into: log, certified: true });
    const signer = { issuer: ISSUER, identity: IDENTITY, identityPattern: null, caRoots: null };
    const trustedRoot = makeTrustedRoot({
      authorities: [[authority.pem]],
      logs: [log.publicKey],
      certificateLogs: [otherLog.publicKey],
    });
    await expect(ask('unlogged/certificate', digest, { signer, trustedRoot })).rejects.toMatchObject({
      code: 'BASE_UNVERIFIED',
    });
  });

  test('what is in none, or in another, is refused', async () => {
    const absent = await pushSigned('absent/key', { by: generation });
    await expect(ask('absent/key', absent)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    const elsewhere = await pushSigned('elsewhere/key', { into: otherLog });
    await expect(ask('elsewhere/key', elsewhere)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    await expect(
      ask('elsewhere/key', elsewhere, { trustedRoot: makeTrustedRoot({ logs: [otherLog.publicKey] }) }),
    ).resolves.toHaveLength(1);
    await expect(
      ask('elsewhere/key', elsewhere, { trustedRoot: null, transparencyLog: 'none' }),
    ).resolves.toHaveLength(1);
  });

  test('that is no more, or not yet, trusted is refused', async () => {
    const digest = await pushSigned('expired/key', { into: log });
    for (const validFor of [{ end: '2021-01-01T00:00:00Z' }, { start: '2999-01-01T00:00:00Z' }]) {
      const trustedRoot = makeTrustedRoot({ logs: [log.publicKey], validFor });
      await expect(ask('expired/key', digest, { trustedRoot })).rejects.toMatchObject({
        code: generation === COSIGN_3 ? 'BASE_UNVERIFIED' : 'POLICY_INVALID',
      });
    }
  });

  test('beside another in the trusted root: cosign 2 takes one only, and says so', async () => {
    const digest = await pushSigned('two/key', { into: log });
    const answer = ask('two/key', digest, {
      trustedRoot: makeTrustedRoot({ logs: [otherLog.publicKey, log.publicKey] }),
    });
    if (generation === COSIGN_3) await expect(answer).resolves.toHaveLength(1);
    else await expect(answer).rejects.toMatchObject({ code: 'COSIGN_UNSUPPORTED' });
  });
});
