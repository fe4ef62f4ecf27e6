import type { Digest } from '../model/digest.js';
import type { DigestReference } from '../model/reference.js';

/** One question to cosign: is this digest signed by this key? */
export interface VerifyRequest {
  readonly reference: DigestReference;
  /** PEM of the public key. */
  readonly publicKey: string;
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

/** cosign, or whatever else checks and makes signatures. */
export interface SignatureVerifier {
  /** Version of the tool. `COSIGN_MISSING`, `COSIGN_UNSUPPORTED`, `COSIGN_TIMEOUT`. */
  version(signal?: AbortSignal): Promise<string>;
  /**
   * The payloads that verify; never empty.
   * @throws `BASE_UNVERIFIED` when nothing is signed, `BASE_KEY_MISMATCH` when there are signatures but none by this
   * key, `BASE_DIGEST_MISMATCH` when the signature there is of another image, `COSIGN_INVALID_ANSWER` when the answer is
   * empty, unreadable or about another digest, `COSIGN_TIMEOUT`, `COSIGN_MISSING`, `COSIGN_UNSUPPORTED`,
   * `BASE_NOT_FOUND`, `REGISTRY_UNREACHABLE`, `REGISTRY_UNAUTHORIZED`.
   */
  verify(request: VerifyRequest, signal?: AbortSignal): Promise<readonly VerifiedPayload[]>;
  /** Signs a digest with the key file, with the annotations signed too. `COSIGN_FAILED` with cosign's words. */
  sign(
    reference: DigestReference,
    keyFile: string,
    annotations: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** PEM of the public half of a key file. */
  publicKey(keyFile: string, signal?: AbortSignal): Promise<string>;
}
