import type { ErrorCode } from '../../src/errors.js';

/** One way to break a link of the chain, in words. */
export interface Tampering {
  readonly link: 'base' | 'signature' | 'dependencies' | 'seal' | 'registry' | 'run' | 'receipt' | 'replay';
  /** What is changed. */
  readonly tried: string;
  /** What passes before and is refused after. */
  readonly command: string;
  readonly code: ErrorCode;
}

/**
 * The tampering walk, from a base to the replay of a run. The table in docs/security-model.md is made from this; a test
 * holds that each is tried once and that no two are refused under the same code.
 */
export const TAMPERINGS = {
  'base-bytes': {
    link: 'base',
    tried: 'the registry sends other bytes for the pinned digest',
    command: 'sjs build',
    code: 'REGISTRY_DIGEST_MISMATCH',
  },
  'base-tag': {
    link: 'base',
    tried: 'another image that nobody signed lies under the version',
    command: 'sjs build --update',
    code: 'BASE_UNVERIFIED',
  },
  'base-key': {
    link: 'signature',
    tried: 'that image is signed, by another key',
    command: 'sjs build --update',
    code: 'BASE_KEY_MISMATCH',
  },
  'base-signature': {
    link: 'signature',
    tried: 'that image has the signature of the right one, copied',
    command: 'sjs build --update',
    code: 'BASE_DIGEST_MISMATCH',
  },
  'base-version': {
    link: 'signature',
    tried: 'the signed image lies under a higher version than was signed',
    command: 'sjs build --update',
    code: 'BASE_VERSION_MISMATCH',
  },
  'base-repository': {
    link: 'signature',
    tried: 'the image lies in another trusted repository, with the signature of the first',
    command: 'sjs build --update',
    code: 'BASE_REPOSITORY_MISMATCH',
  },
  'package-manifest': {
    link: 'dependencies',
    tried: 'package.json asks for what package-lock.json was not made for',
    command: 'sjs build',
    code: 'LOCKFILE_MISMATCH',
  },
  'package-lock': {
    link: 'dependencies',
    tried: 'package-lock.json has another release than sandbox.lock',
    command: 'sjs build --frozen',
    code: 'LOCK_OUTDATED',
  },
  'sandbox-lock': {
    link: 'dependencies',
    tried: 'sandbox.lock is edited: another manifest of the base',
    command: 'sjs build',
    code: 'LOCK_INVALID',
  },
  'package-registry': {
    link: 'dependencies',
    tried: 'the registry has another tarball of the same release',
    command: 'sjs build',
    code: 'PACKAGE_MISMATCH',
  },
  'package-cache': {
    link: 'dependencies',
    tried: 'a tarball in the cache is another, and the registry is gone',
    command: 'sjs build',
    code: 'PACKAGE_UNAVAILABLE',
  },
  'seal-tag': {
    link: 'seal',
    tried: 'another image is tagged over the sealed one',
    command: 'sjs run',
    code: 'SEAL_MISMATCH',
  },
  'seal-index': {
    link: 'seal',
    tried: 'the entry of the index is edited: another base',
    command: 'sjs run',
    code: 'SEAL_INDEX_MISMATCH',
  },
  'seal-proof': {
    link: 'seal',
    tried: 'the proof of the signature in the index is edited: more is attested',
    command: 'sjs run',
    code: 'SEAL_PROOF_INVALID',
  },
  'pushed-over': {
    link: 'registry',
    tried: 'a copy with wider rights is pushed over the tag',
    command: 'sjs pull',
    code: 'SEAL_UNSIGNED',
  },
  'widened-copy': {
    link: 'registry',
    tried: 'that copy is signed, by another key',
    command: 'sjs pull',
    code: 'SEAL_UNTRUSTED',
  },
  'copied-signature': {
    link: 'registry',
    tried: 'that copy has the signature of the right one, copied',
    command: 'sjs pull',
    code: 'SEAL_DIGEST_MISMATCH',
  },
  'moved-seal': {
    link: 'registry',
    tried: 'the image lies in another trusted repository, with the signature of the first',
    command: 'sjs pull',
    code: 'SEAL_REPOSITORY_MISMATCH',
  },
  provenance: {
    link: 'registry',
    tried: 'the provenance of another seal is attested of it, by the trusted key',
    command: 'sjs verify',
    code: 'ATTESTATION_MISMATCH',
  },
  bill: {
    link: 'registry',
    tried: 'a bill of materials with another package is attested of it, by the trusted key',
    command: 'sjs verify',
    code: 'SBOM_MISMATCH',
  },
  'no-attestation': {
    link: 'registry',
    tried: 'an attestation that the policy requires is taken away',
    command: 'sjs pull',
    code: 'ATTESTATION_MISSING',
  },
  'kept-output': {
    link: 'run',
    tried: 'the kept output of a run is edited',
    command: 'sjs logs',
    code: 'STORE_INVALID',
  },
  'receipt-bytes': {
    link: 'receipt',
    tried: 'a signed statement is edited: a receipt, and the one of a seal in SJS_HOME',
    command: 'sjs receipt verify; sjs verify',
    code: 'STATEMENT_CHANGED',
  },
  'receipt-key': {
    link: 'receipt',
    tried: 'the receipt is signed anew, by another key',
    command: 'sjs receipt verify',
    code: 'STATEMENT_UNVERIFIED',
  },
  'receipt-kind': {
    link: 'receipt',
    tried: 'a statement about the seal, by the trusted key, lies in the place of the receipt',
    command: 'sjs receipt verify',
    code: 'STATEMENT_INVALID',
  },
  'receipt-record': {
    link: 'receipt',
    tried: 'the record of the run is edited after its receipt',
    command: 'sjs receipt verify',
    code: 'RECEIPT_MISMATCH',
  },
  'replay-input': {
    link: 'replay',
    tried: 'what the run read from stdin is edited',
    command: 'sjs replay',
    code: 'REPLAY_INPUT_CHANGED',
  },
  'replay-limits': {
    link: 'replay',
    tried: 'the record is edited: a higher limit of memory',
    command: 'sjs replay',
    code: 'RIGHTS_WIDENED',
  },
  'replay-profile': {
    link: 'replay',
    tried: 'sjs has another seccomp profile than the one that was sealed',
    command: 'sjs replay',
    code: 'SEAL_PROFILE_MISMATCH',
  },
} satisfies Readonly<Record<string, Tampering>>;

/** The name of one of them. */
export type TamperingId = keyof typeof TAMPERINGS;
