import type { AttestationType } from './attestation-type.js';
import { canonicalJson } from './canonical-json.js';
import { isDigest, isDigestOrNull, type Digest } from './digest.js';
import { isFields } from './fields.js';

/** Where this SJS_HOME pushed a seal to, or pulled it from. */
export interface PushedSeal {
  /** `registry/path` */
  readonly repository: string;
  /** Of its manifest there: what is signed. */
  readonly digest: Digest;
  /** RFC 3339. */
  readonly at: string;
  /** PEM of the key that signed it from here; null when nobody did, or without a key. */
  readonly publicKey: string | null;
}

/** Whom a rule of the policy accepted, and all that made the rule accept it. */
export interface ProvenSigner {
  /** The fingerprint of the key, or identity and issuer, for people. */
  readonly name: string;
  readonly keyFingerprint: Digest | null;
  /** PEM of the key; null likewise. */
  readonly publicKey: string | null;
  readonly keyless: {
    readonly issuer: string;
    readonly identity: string | null;
    readonly identityPattern: string | null;
    /** Digest of the PEM of one's own authorities; null for others. */
    readonly caRoots: Digest | null;
  } | null;
  /** Digest of the text of the trusted root; null for public Sigstore's. */
  readonly trustedRoot: Digest | null;
  readonly transparencyLog: 'required' | 'none';
  readonly annotations: Readonly<Record<string, string>>;
  /** The repository that was signed; null when none was. */
  readonly signedRepository: string | null;
  /** By the same signer, of the same digest. */
  readonly attestations: readonly AttestationType[];
}

/**
 * That the signature of a seal was verified here: what a run compares with the policy of that day, without any network.
 * It holds in the SJS_HOME that made it alone.
 */
export interface SealProof {
  /** Where it was found, `registry/path`; of a statement without a registry `sjs/<name>`. */
  readonly repository: string;
  /** Of the manifest that is signed; null for a statement, which names the seal itself. */
  readonly digest: Digest | null;
  /** One or more for each layer of the policy that had an opinion. */
  readonly signers: readonly ProvenSigner[];
  /** What was signed of the base, as the attested provenance has it; null without one. */
  readonly baseDigest: Digest | null;
  /** What other provenances name; absent where there is none. */
  readonly otherBases?: readonly Digest[];
  /** RFC 3339. */
  readonly verifiedAt: string;
  /** Binds all of it to the seal and to this SJS_HOME. */
  readonly mac: string;
}

/** What the key of an SJS_HOME is asked to bind. */
export const textOfProof = (seal: Digest, proof: Omit<SealProof, 'mac'>): string => {
  const { repository, digest, signers, baseDigest, otherBases, verifiedAt } = proof;
  const fields = { repository, digest, signers, baseDigest, ...(otherBases && { otherBases }), verifiedAt };
  return `seal-proof\n${canonicalJson({ seal, ...fields })}`;
};

const isText = (value: unknown): boolean => typeof value === 'string';
const isListOf = (value: unknown, is: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(is);

/** Whether a value has the fields of a place that was pushed to; an index entry may have been edited by hand. */
export const isPushedSeal = (value: unknown): value is PushedSeal =>
  isFields(value) && isText(value['repository']) && isDigest(value['digest']) && isText(value['at']);

/** Whether a value has the fields of a proof. Whether it is one, its MAC says. */
export const isSealProof = (value: unknown): value is SealProof =>
  isFields(value) &&
  [value['repository'], value['verifiedAt'], value['mac']].every(isText) &&
  isDigestOrNull(value['digest']) &&
  isDigestOrNull(value['baseDigest']) &&
  (value['otherBases'] === undefined || isListOf(value['otherBases'], isDigest)) &&
  isListOf(
    value['signers'],
    (one) => isFields(one) && isFields(one['annotations']) && isListOf(one['attestations'], isText),
  );
