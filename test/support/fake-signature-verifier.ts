import { generateKeyPairSync } from 'node:crypto';
import { SjsError } from '../../src/errors.js';
import { PREDICATE_TYPES, type AttestationType } from '../../src/model/attestation-type.js';
import type { Predicate } from '../../src/model/predicate.js';
import { formatReference, formatRepository, type DigestReference } from '../../src/model/reference.js';
import { formatSigningKey, type SigningKey } from '../../src/model/signing-key.js';
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

interface Attestation {
  readonly reference: string;
  readonly publicKey: string;
  readonly type: AttestationType;
  readonly predicate: Predicate;
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
  const attestations: Attestation[] = [];
  const questions: string[] = [];
  const keyOf = (signingKey: SigningKey): string => {
    const name = formatSigningKey(signingKey);
    const key = keys.get(name);
    if (key === undefined) throw new SjsError('COSIGN_FAILED', `no key ${name}`, { next: 'make one' });
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
    async sign(reference, key, annotations, signal) {
      enter(signal);
      addSignature(reference, keyOf(key), {
        dockerReference: formatRepository(reference),
        annotations,
      });
      return Promise.resolve();
    },
    async verifyAttestation({ reference, signer }, type, signal) {
      enter(signal);
      if (!('publicKey' in signer)) throw new Error('the fake knows keys only');
      const name = formatReference(reference);
      questions.push(`${name} ${type}`);
      const found = attestations.filter(
        (one) => one.reference === name && one.publicKey === signer.publicKey && one.type === type,
      );
      if (found.length === 0) {
        throw new SjsError('ATTESTATION_MISSING', `${name} has no ${type}`, { next: 'attest it' });
      }
      return Promise.resolve(
        found.map(({ predicate }) => ({ predicateType: PREDICATE_TYPES[type], predicate })),
      );
    },
    async attest(reference, key, type, predicate, signal) {
      enter(signal);
      attestations.push({ reference: formatReference(reference), publicKey: keyOf(key), type, predicate });
      return Promise.resolve();
    },
    publicKey: (key, signal) =>
      Promise.resolve().then(() => {
        enter(signal);
        return keyOf(key);
      }),
  };
}
