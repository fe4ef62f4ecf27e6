import type { AttestationType } from '../model/attestation-type.js';
import type { Predicate } from '../model/predicate.js';
import type { Digest } from '../model/digest.js';
import type { KeylessSigner } from '../model/policy.js';
import type { DigestReference } from '../model/reference.js';
import type { SigningKey } from '../model/signing-key.js';

/** Who must have signed: the holder of a key (PEM of its public half), or whom a certificate names. */
export type Signer = { readonly publicKey: string } | KeylessSigner;

/** One question to cosign: is this digest signed by this signer? */
export interface VerifyRequest {
  readonly reference: DigestReference;
  readonly signer: Signer;
  /** Text of a Sigstore trusted root; null for public Sigstore's. */
  readonly trustedRoot: string | null;
  readonly transparencyLog: 'required' | 'none';
}

/** One signature that verified, in normal form. */
export interface VerifiedPayload {
  /** The digest that was signed; equal to the digest asked about, or the call would have failed. */
  readonly digest: Digest;
  /** `docker-reference` of the payload: where the signer says the image lives; null when it is not signed (cosign 3). */
  readonly dockerReference: string | null;
  readonly annotations: Readonly<Record<string, string>>;
}

/** An attestation that verified: an in-toto statement whose subject is the digest asked about. */
export interface VerifiedStatement {
  readonly predicateType: string;
  readonly predicate: Predicate;
}

/** cosign, or whatever else checks and makes signatures. */
export interface SignatureVerifier {
  /** Version of the tool. `COSIGN_MISSING`, `COSIGN_UNSUPPORTED`, `COSIGN_TIMEOUT`. */
  version(signal?: AbortSignal): Promise<string>;
  /**
   * The payloads that verify; never empty.
   * @throws `BASE_UNVERIFIED` when nothing is signed or a log does not have it, `BASE_KEY_MISMATCH` when there are
   * signatures but none by this key, `BASE_IDENTITY_MISMATCH` when none is by this identity of this issuer, certified
   * by a trusted authority, `BASE_DIGEST_MISMATCH` when the signature there is of another image,
   * `COSIGN_INVALID_ANSWER` when the answer is empty, unreadable or about another digest, `COSIGN_TIMEOUT`,
   * `COSIGN_MISSING`, `COSIGN_UNSUPPORTED`, `BASE_NOT_FOUND`, `REGISTRY_UNREACHABLE`, `REGISTRY_UNAUTHORIZED`.
   */
  verify(request: VerifyRequest, signal?: AbortSignal): Promise<readonly VerifiedPayload[]>;
  /**
   * The statements of this type that the signer attested of this digest; never empty.
   * @throws `ATTESTATION_MISSING` when there is none of this type by this signer; what a tool and a registry fail with as
   * {@link SignatureVerifier.verify}.
   */
  verifyAttestation(
    request: VerifyRequest,
    type: AttestationType,
    signal?: AbortSignal,
  ): Promise<readonly VerifiedStatement[]>;
  /** Signs a digest with the key, with the annotations signed too. `COSIGN_FAILED` with cosign's words; `USAGE`. */
  sign(
    reference: DigestReference,
    key: SigningKey,
    annotations: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Attests a predicate of a digest with the key. `COSIGN_FAILED` with cosign's words; `USAGE`. */
  attest(
    reference: DigestReference,
    key: SigningKey,
    type: AttestationType,
    predicate: Predicate,
    signal?: AbortSignal,
  ): Promise<void>;
  /** PEM of the public half of a key; null for a keyless signer, who has none. `USAGE` where nothing says who that is. */
  publicKey(key: SigningKey, signal?: AbortSignal): Promise<string | null>;
}
