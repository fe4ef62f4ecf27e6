import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import { signedDigestOf, type IndexEntry } from '../model/sealed-image.js';
import { textOfProof, type SealProof } from '../model/seal-proof.js';
import type { Clock } from '../ports/clock.js';
import type { RecordStore } from '../ports/record-store.js';
import { requiresSigned, sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { checkProof } from '../stages/verify/check-proof.js';

/** What judging a seal's trust needs. */
export interface TrustTools {
  readonly store: Pick<RecordStore, 'fingerprint'>;
  readonly clock: Clock;
}

/** Proofs of one seal that are kept: of the same place the newest, and no more than this. */
const MOST_PROOFS = 8;

/**
 * Whether a seal may run at all under the policy of now (SPEC §2): one that was made here unless the policy asks for a
 * signature, one that the operator vouched for likewise, any other by the proof of a signature that the policy still
 * trusts. Needs no network.
 * @returns what was signed of its base; null when nobody knows
 * @throws SjsError `SEAL_UNSIGNED`, `SEAL_PROOF_INVALID`, `SEAL_UNTRUSTED`, `SEAL_KEY_OUT_OF_DATE`,
 * `SEAL_REPOSITORY_MISMATCH`,
 * `ATTESTATION_MISSING`.
 */
export async function checkTrust(
  entry: IndexEntry,
  policy: Policy,
  tools: TrustTools,
): Promise<Digest | null> {
  const isSigned = entry.imported?.trustedBy === 'signature';
  const asked = requiresSigned(policy);
  if (!isSigned && asked === null) return signedDigestOf(entry);
  if ((entry.signatures ?? []).length === 0 && !isSigned) {
    throw new SjsError('SEAL_UNSIGNED', `${entry.tag} is not signed, and the policy asks for a signature`, {
      next: `sign it: sjs push --sign ${entry.tag}; or sjs pull where it was pushed and signed`,
      ...(asked && { location: asked }),
    });
  }
  const proof = await findAccepted(entry, policy, tools);
  return isSigned ? proof.baseDigest : signedDigestOf(entry);
}

/** The newest proof that was made here and that the policy accepts; else why the newest does not count. */
export async function findAccepted(
  entry: IndexEntry,
  policy: Policy,
  { store, clock }: TrustTools,
): Promise<SealProof> {
  const proofs = entry.signatures ?? [];
  let refusal: unknown = null;
  for (const proof of [...proofs].reverse()) {
    if (proof.mac !== (await store.fingerprint(textOfProof(entry.seal, proof)))) continue;
    try {
      checkProof(proof, sealedRequirement(policy, proof.repository), entry.tag, clock);
      return proof;
    } catch (error) {
      refusal ??= error;
    }
  }
  if (refusal instanceof Error) throw refusal;
  throw new SjsError('SEAL_PROOF_INVALID', `nothing in this SJS_HOME shows who signed ${entry.tag}`, {
    cause:
      proofs.length === 0 ? 'the proof is gone' : 'the proof was changed, or comes from another SJS_HOME',
    next: 'take it in anew with sjs pull, which verifies the signature again',
  });
}

/** The entry with what was verified of its seal just now. */
export async function withProof(
  entry: IndexEntry,
  found: Pick<SealProof, 'repository' | 'digest' | 'signers' | 'baseDigest'>,
  { store, clock }: TrustTools,
): Promise<IndexEntry> {
  const { repository, digest, signers, baseDigest } = found;
  const fields = {
    repository,
    digest,
    signers,
    baseDigest,
    verifiedAt: new Date(clock.now()).toISOString(),
  };
  const mac = await store.fingerprint(textOfProof(entry.seal, fields));
  const others = (entry.signatures ?? []).filter(
    (one) => one.repository !== repository || one.digest !== digest,
  );
  return { ...entry, signatures: [...others, { ...fields, mac }].slice(-MOST_PROOFS) };
}
