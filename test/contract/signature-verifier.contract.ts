import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../src/model/digest.js';
import type { DigestReference } from '../../src/model/reference.js';
import { parseSigningKey } from '../../src/model/signing-key.js';
import type { SignatureVerifier } from '../../src/ports/signature-verifier.js';

/** One verifier under test: two key files with their public halves, and how to make an image to sign. */
export interface VerifierUnderTest {
  readonly verifier: SignatureVerifier;
  readonly keys: readonly { readonly keyFile: string; readonly publicKey: string }[];
  /** Pushes an image that nobody signed. */
  push(path: string, content: string): Promise<DigestReference>;
  stop(): Promise<void>;
}

const file = (path: string) => parseSigningKey(path);

/** What every {@link SignatureVerifier} does, the fake as the real. */
export function describeSignatureVerifier(name: string, start: () => Promise<VerifierUnderTest>): void {
  describe(`${name} is a SignatureVerifier`, () => {
    let under: VerifierUnderTest;
    const key = (index: number) => under.keys[index] as { keyFile: string; publicKey: string };
    const ask = (reference: DigestReference, publicKey: string, signal?: AbortSignal) =>
      under.verifier.verify(
        { reference, signer: { publicKey }, trustedRoot: null, transparencyLog: 'none' },
        signal,
      );
    beforeAll(async () => {
      under = await start();
    });
    afterAll(() => under?.stop());

    test('says its version', async () => {
      await expect(under.verifier.version()).resolves.toMatch(/^[0-9]+\.[0-9]+\.[0-9]+$/);
    });

    test('gives the public half of a key, and says when there is none', async () => {
      const given = await under.verifier.publicKey(file(key(0).keyFile));
      expect(given?.trim()).toBe(key(0).publicKey.trim());
      await expect(under.verifier.publicKey(file('/absent.key'))).rejects.toMatchObject({
        code: 'COSIGN_FAILED',
      });
    });

    test('finds what it signed, with the annotations', async () => {
      const reference = await under.push('contract/signed', 'signed');
      const annotations = { version: '1.0.0', repository: 'registry.example.com/base/node' };
      await under.verifier.sign(reference, file(key(0).keyFile), annotations);
      const payloads = await ask(reference, key(0).publicKey);
      expect(payloads).toHaveLength(1);
      expect(payloads[0]).toMatchObject({ digest: reference.digest, annotations });
      expect([null, `${reference.registry}/${reference.path}`]).toContain(payloads[0]?.dockerReference);
    });

    test('gives every signature by the key', async () => {
      const reference = await under.push('contract/twice', 'twice');
      await under.verifier.sign(reference, file(key(0).keyFile), { version: '1.0.0' });
      await under.verifier.sign(reference, file(key(0).keyFile), { version: '1.0.1' });
      await under.verifier.sign(reference, file(key(1).keyFile), { version: '9.9.9' });
      const versions = (await ask(reference, key(0).publicKey)).map(
        ({ annotations }) => annotations['version'],
      );
      expect(versions.sort()).toEqual(['1.0.0', '1.0.1']);
    });

    test('says that nobody signed, and that another key did', async () => {
      const reference = await under.push('contract/unsigned', 'unsigned');
      await expect(ask(reference, key(0).publicKey)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
      await under.verifier.sign(reference, file(key(1).keyFile), {});
      await expect(ask(reference, key(0).publicKey)).rejects.toMatchObject({ code: 'BASE_KEY_MISMATCH' });
    });

    test('does not take the signature of another image in the repository', async () => {
      const signed = await under.push('contract/pair', 'signed one');
      const other = await under.push('contract/pair', 'other one');
      await under.verifier.sign(signed, file(key(0).keyFile), {});
      await expect(ask(other, key(0).publicKey)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
      const absent = { ...signed, digest: sha256('absent') };
      await expect(ask(absent, key(0).publicKey)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    });

    test('finds what it attested, of the type that is asked for, as it was given', async () => {
      const reference = await under.push('contract/attested', 'attested');
      const request = {
        reference,
        signer: { publicKey: key(0).publicKey },
        trustedRoot: null,
        transparencyLog: 'none',
      } as const;
      const missing = { code: 'ATTESTATION_MISSING' };
      await expect(under.verifier.verifyAttestation(request, 'cyclonedx')).rejects.toMatchObject(missing);
      const predicate = { bomFormat: 'CycloneDX', unknown: { kept: ['as', 1, null] } };
      await under.verifier.attest(reference, file(key(0).keyFile), 'cyclonedx', predicate);
      await under.verifier.attest(reference, file(key(1).keyFile), 'spdxjson', { by: 'another' });
      expect(await under.verifier.verifyAttestation(request, 'cyclonedx')).toEqual([
        { predicateType: 'https://cyclonedx.org/bom', predicate },
      ]);
      for (const type of ['spdxjson', 'slsaprovenance1'] as const) {
        await expect(under.verifier.verifyAttestation(request, type)).rejects.toMatchObject(missing);
      }
      await expect(ask(reference, key(0).publicKey)).rejects.toMatchObject({ code: 'BASE_UNVERIFIED' });
    });

    test('does not sign with a key that is not there', async () => {
      const reference = await under.push('contract/keyless', 'keyless');
      await expect(under.verifier.sign(reference, file('/absent.key'), {})).rejects.toMatchObject({
        code: 'COSIGN_FAILED',
      });
    });

    test('stops when the signal has fired', async () => {
      const reference = await under.push('contract/aborted', 'aborted');
      await expect(ask(reference, key(0).publicKey, AbortSignal.abort())).rejects.toMatchObject({
        code: 'ABORTED',
      });
    });
  });
}
