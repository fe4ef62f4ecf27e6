import { SjsError } from '../errors.js';
import { PREDICATE_TYPES } from '../model/attestation-type.js';
import { hexOf } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { Predicate } from '../model/predicate.js';
import type { IndexEntry, SealedLabels } from '../model/sealed-image.js';
import type { SealProof } from '../model/seal-proof.js';
import type { StatementSigner } from '../ports/statement-signer.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { checkProvenance, type CheckedProvenance } from '../stages/verify/check-provenance.js';
import { toSealError } from '../stages/verify/verify-sealed.js';
import { verifyStatement } from '../stages/verify/verify-statement.js';
import type { TrustTools } from './trust-seal.js';

/** What a seal's statement needs of the world. */
export interface StatementTools extends TrustTools {
  readonly statements: StatementSigner;
}

/** What a statement must be about. */
export interface StatementSubject
  extends Pick<IndexEntry, 'tag' | 'seal' | 'name'>, Pick<SealedLabels, 'baseDigest'> {}

/** What a seal's statement shows, once it verified. */
export interface VerifiedSealStatement extends Pick<SealProof, 'repository' | 'digest' | 'signers'> {
  readonly provenance: CheckedProvenance;
  readonly trustedBy: string;
}

/**
 * Verifies the statement of a seal under the policy's `sealed`, as of the repository `sjs/<name>`. Needs no network where
 * the rule needs none.
 * @throws SjsError `SEAL_UNTRUSTED`, `SEAL_KEY_OUT_OF_DATE`, `STATEMENT_UNVERIFIED`, `STATEMENT_CHANGED`, `STATEMENT_INVALID`,
 * `SEAL_DIGEST_MISMATCH`,
 * `ATTESTATION_MISMATCH`.
 */
export async function verifySealStatement(
  text: string,
  subject: StatementSubject,
  policy: Policy,
  { statements, clock }: StatementTools,
  signal?: AbortSignal,
): Promise<VerifiedSealStatement> {
  const { tag, seal, name } = subject;
  const repository = `sjs/${name}`;
  const requirement = sealedRequirement(policy, repository);
  const { statement, signers, trustedBy } = await verifyStatement(
    text,
    PREDICATE_TYPES.slsaprovenance1,
    requirement,
    statements,
    clock,
    signal,
  ).catch((error: unknown) => {
    throw toSealError(error, tag);
  });
  const [about, ...others] = statement.subject;
  if (about?.digest.sha256 !== hexOf(seal) || others.length > 0) {
    throw new SjsError(
      'SEAL_DIGEST_MISMATCH',
      `the statement is about ${describeDigest(about?.digest.sha256)}, not about ${tag}`,
      {
        next: 'take the statement that was signed of this seal',
      },
    );
  }
  const provenance = checkProvenance(statement.predicate as Predicate, { ...subject, name: tag });
  return { repository, digest: null, signers, provenance, trustedBy };
}

const describeDigest = (hex: string | undefined): string =>
  hex === undefined ? 'nothing' : `the seal sha256:${hex}`;
