import { generateKeyPairSync } from 'node:crypto';
import { SjsError } from '../../src/errors.js';
import { formatReference, formatRepository, type DigestReference } from '../../src/model/reference.js';
import type { SignatureVerifier, VerifiedPayload } from '../../src/ports/signature-verifier.js';

/** Signatures in memory. Keys are real, so that fingerprints are; key files are names given to `addKey`. */
export interface FakeSignatureVerifier extends SignatureVerifier {
  /** Makes a key under a file name and returns its public half. */
  addKey(keyFile: string): string;
  /** Makes a signature exist without `sign`. */
  addSignature(reference: DigestReference, publicKey: string, payload: Omit<VerifiedPayload, 'digest'>): void;
  /** Every verification asked for, as `repository@digest`. */
  readonly questions: readonly string[];
}

interface Signature {
  readonly reference: string;
  readonly publicKey: string;
  readonly payload: VerifiedPayload;
}

/** A fresh PEM public key. */
export function makePublicKey(): string {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).publicKey;
}

/** A verifier that knows no signature yet. */
export function createFakeSignatureVerifier(): FakeSignatureVerifier {
  const keys = new Map<string, string>();
  const signatures: Signature[] = [];
  const questions: string[] = [];
  const keyOf = (keyFile: string): string => {
    const key = keys.get(keyFile);
    if (key === undefined) throw new SjsError('COSIGN_FAILED', `no key ${keyFile}`, { next: 'make one' });
    return key;
  };
  const enter = (signal?: AbortSignal): void => {
    if (signal?.aborted) throw new SjsError('ABORTED', 'interrupted', { cause: signal.reason });
  };
  const addSignature: FakeSignatureVerifier['addSignature'] = (reference, publicKey, payload) => {
    signatures.push({
      reference: formatReference(reference),
      publicKey,
      payload: { digest: reference.digest, ...payload },
    });
  };
  return {
    questions,
    addSignature,
    addKey(keyFile) {
      const key = makePublicKey();
      keys.set(keyFile, key);
      return key;
    },
    version: () => Promise.resolve('2.5.0'),
    async verify({ reference, signer }, signal) {
      enter(signal);
      if (!('publicKey' in signer)) throw new Error('the fake knows keys only');
      const { publicKey } = signer;
      const name = formatReference(reference);
      questions.push(name);
      const found = signatures.filter((signature) => signature.reference === name);
      if (found.length === 0)
        throw new SjsError('BASE_UNVERIFIED', `${name} has no signature`, { next: 'sign it' });
      const fitting = found.filter((signature) => signature.publicKey === publicKey);
      if (fitting.length === 0) {
        throw new SjsError('BASE_KEY_MISMATCH', `${name} is signed by another key`, { next: 'sign it' });
      }
      return Promise.resolve(fitting.map((signature) => signature.payload));
    },
    async sign(reference, keyFile, annotations, signal) {
      enter(signal);
      addSignature(reference, keyOf(keyFile), {
        dockerReference: formatRepository(reference),
        annotations,
      });
      return Promise.resolve();
    },
    publicKey: (keyFile, signal) =>
      Promise.resolve().then(() => {
        enter(signal);
        return keyOf(keyFile);
      }),
  };
}
