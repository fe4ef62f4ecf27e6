import { SjsError, type ErrorCode } from '../../errors.js';
import type { AttestationType } from '../../model/attestation-type.js';
import { isDigest, sha256, type Digest } from '../../model/digest.js';
import type { SealedRequirement, SignerRule } from '../../model/policy.js';
import type { Predicate } from '../../model/predicate.js';
import { formatReference, formatRepository, type DigestReference } from '../../model/reference.js';
import type { ProvenSigner, SealProof } from '../../model/seal-proof.js';
import { showPlace } from '../../model/show-place.js';
import type { Clock } from '../../ports/clock.js';
import type { VerifiedPayload } from '../../ports/signature-verifier.js';
import { checkAnnotations, checkRepository, signedRepositoryOf } from './check-payload.js';
import { askAhead, describeSigner, findEvidence, type Evidence, type Questions } from './evidence.js';

/** What the signature of a sealed image says, verified. */
export interface SignedSeal extends Pick<SealProof, 'repository' | 'signers'> {
  readonly digest: Digest;
  /** The seal that was signed. What the engine then has is compared with it. */
  readonly seal: Digest;
  /** What was attested of it by those who signed it. */
  readonly statements: ReadonlyMap<AttestationType, readonly Predicate[]>;
  /** Files and lines of the policy that trust the signers. */
  readonly rules: readonly string[];
}

/**
 * Begins to ask what {@link verifySealed} will ask of this digest, with the same `askOnce`: the engine and the registry
 * can be asked meanwhile. Decides nothing.
 */
export function beginVerifyingSealed(
  reference: DigestReference,
  { alternatives }: SealedRequirement,
  also: readonly AttestationType[],
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): void {
  askAhead({ reference, alternatives, also }, verifier, clock, signal);
}

/**
 * Verifies the signature of a sealed image under the policy's `sealed`, and what is attested of it.
 * @param also attestations that are looked at when they are there, beside those that the policy asks for
 * @throws SjsError `SEAL_UNSIGNED`, `SEAL_UNTRUSTED`, `SEAL_KEY_OUT_OF_DATE`, `SEAL_MISMATCH`, `SEAL_DIGEST_MISMATCH`,
 * `SEAL_REPOSITORY_MISMATCH`, `ATTESTATION_MISSING`,
 * `TARGET_NOT_FOUND`, and what cosign and the registry fail with.
 */
export async function verifySealed(
  reference: DigestReference,
  { repository, alternatives }: SealedRequirement,
  also: readonly AttestationType[],
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): Promise<SignedSeal> {
  const name = formatReference(reference);
  const check = (payload: VerifiedPayload, rule: SignerRule): SjsError | null =>
    checkRepository(payload, rule, repository, name) ??
    checkAnnotations(payload, rule, name) ??
    (isDigest(payload.annotations['seal']) ? null : saysNoSeal(name));
  const layers = await findEvidence({ reference, alternatives, check, also }, verifier, clock, signal).catch(
    (error: unknown) => {
      throw toSealError(error, name);
    },
  );
  const found = layers.flat();
  const [first] = found as [Evidence, ...Evidence[]];
  const seal = first.payload.annotations['seal'] as Digest;
  if (found.some(({ payload }) => payload.annotations['seal'] !== seal)) {
    throw new SjsError('SEAL_MISMATCH', `the signatures of ${name} name different seals`, {
      next: 'ask those who signed it which one is right',
    });
  }
  const statements = new Map<AttestationType, readonly Predicate[]>();
  for (const one of found) {
    for (const [type, attested] of one.statements) {
      statements.set(type, [...(statements.get(type) ?? []), ...attested.map(({ predicate }) => predicate)]);
    }
  }
  return {
    repository: formatRepository(reference),
    digest: reference.digest,
    seal,
    signers: found.map(toProvenSigner),
    statements,
    rules: [...new Set(found.map(({ rule }) => showPlace(rule.location)))],
  };
}

/** A signer as a proof keeps it. */
function toProvenSigner(evidence: Evidence): ProvenSigner {
  const { rule, signer, payload, statements } = evidence;
  return {
    ...nameSigner(rule, signer),
    annotations: payload.annotations,
    signedRepository: signedRepositoryOf(payload),
    attestations: [...statements.keys()],
  };
}

/** Whom a rule accepted, and on which terms. */
export function nameSigner(
  rule: SignerRule,
  signer: Evidence['signer'],
): Omit<ProvenSigner, 'annotations' | 'signedRepository' | 'attestations'> {
  const { signer: name, keyFingerprint, publicKey } = describeSigner({ rule, signer });
  return { name, keyFingerprint, publicKey, ...whatRuleSays(rule) };
}

/** What a rule says besides its keys, in the form in which a later rule is compared with it. */
export function whatRuleSays({
  keyless,
  trustedRoot,
  transparencyLog,
}: SignerRule): Pick<ProvenSigner, 'keyless' | 'trustedRoot' | 'transparencyLog'> {
  const digestOf = (text: string | null): Digest | null => (text === null ? null : sha256(text));
  return {
    keyless: keyless && { ...keyless, caRoots: digestOf(keyless.caRoots) },
    trustedRoot: digestOf(trustedRoot),
    transparencyLog,
  };
}

const saysNoSeal = (name: string): SjsError =>
  new SjsError('BASE_UNVERIFIED', `${name} is signed, but the signature names no seal`, {
    next: SIGN_IT,
  });

const SIGN_IT = 'whoever built it signs it with sjs push --sign';

/** What a refusal is called where a sealed image is refused, and not a base. */
const CODES: Partial<Record<ErrorCode, ErrorCode>> = {
  BASE_UNVERIFIED: 'SEAL_UNSIGNED',
  BASE_KEY_MISMATCH: 'SEAL_UNTRUSTED',
  BASE_IDENTITY_MISMATCH: 'SEAL_UNTRUSTED',
  BASE_KEY_OUT_OF_DATE: 'SEAL_KEY_OUT_OF_DATE',
  BASE_DIGEST_MISMATCH: 'SEAL_DIGEST_MISMATCH',
  BASE_REPOSITORY_MISMATCH: 'SEAL_REPOSITORY_MISMATCH',
  BASE_NOT_FOUND: 'TARGET_NOT_FOUND',
};

const NEXT: Partial<Record<ErrorCode, string>> = {
  SEAL_UNSIGNED: `${SIGN_IT}; what cosign 3 signed, cosign 2 does not find`,
  SEAL_UNTRUSTED: 'ask who signed it; to trust them, add a rule to sealed.signers of your policy',
  SEAL_KEY_OUT_OF_DATE: 'sign it with a key in force and trust that, or set the clock of this machine right',
  SEAL_DIGEST_MISMATCH:
    'do not use it: somebody copied the signature; ask who sealed it for the right digest',
  SEAL_REPOSITORY_MISMATCH: 'push and sign it where it is looked for, with sjs push --sign',
  TARGET_NOT_FOUND: 'check the reference: sjs push prints it',
};

/** The same refusal, in the words for a sealed image. */
export function toSealError(error: unknown, name: string): unknown {
  if (!(error instanceof SjsError)) return error;
  const code = CODES[error.code];
  if (code === undefined) return error;
  const message =
    code === 'TARGET_NOT_FOUND'
      ? `there is no image ${name}`
      : error.message.replace(/ a base /, ' an image ');
  const { cause, location } = error;
  return new SjsError(code, message, { cause, next: NEXT[code] ?? SIGN_IT, ...(location && { location }) });
}
