import { SjsError } from '../errors.js';
import { PREDICATE_TYPES } from '../model/attestation-type.js';
import { hexOf } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { Predicate } from '../model/predicate.js';
import type { IndexEntry, SealedLabels } from '../model/sealed-image.js';
import type { SealProof } from '../model/seal-proof.js';
import type { SigningKey } from '../model/signing-key.js';
import { STATEMENT_TYPE, type Statement } from '../model/statement.js';
import type { RecordStore } from '../ports/record-store.js';
import type { Reporter } from '../ports/reporter.js';
import type { StatementSigner } from '../ports/statement-signer.js';
import { buildProvenance } from '../stages/attest/provenance.js';
import { requiresSigned, sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { checkProvenance, type CheckedProvenance } from '../stages/verify/check-provenance.js';
import { toSealError } from '../stages/verify/verify-sealed.js';
import { verifyStatement } from '../stages/verify/verify-statement.js';
import { readContents, type ContentTools } from './describe-contents.js';
import { findSealedImage } from './find-target.js';
import { makeProof, withProof, type TrustTools } from './trust-seal.js';

/** What a seal's statement needs of the world. */
export interface StatementTools extends TrustTools {
  readonly statements: StatementSigner;
}

/** What signing one needs besides. */
export interface SignTools extends StatementTools, ContentTools {
  readonly store: RecordStore;
  readonly reporter: Reporter;
  readonly loadPolicy: () => Promise<Policy>;
}

/** A seal whose statement was signed. */
export interface SignResult {
  readonly tag: string;
  readonly seal: string;
  /** Whether this policy trusts who signed. */
  readonly isTrusted: boolean;
}

/**
 * Signs the statement of a seal where there is no registry: its provenance, with the seal for a subject. It is kept in
 * SJS_HOME, and an export has it with it.
 * @throws SjsError `BUILD_UNKNOWN`, as {@link StatementSigner}, as finding the image does.
 */
export async function signSeal(
  target: string,
  key: SigningKey,
  tools: SignTools,
  signal?: AbortSignal,
): Promise<SignResult> {
  const [sealed, policy] = await Promise.all([findSealedImage(target, tools, signal), tools.loadPolicy()]);
  const { entry, labels } = sealed;
  const statement: Statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: entry.tag, digest: { sha256: hexOf(entry.seal) } }],
    predicateType: PREDICATE_TYPES.slsaprovenance1,
    predicate: buildProvenance(await readContents(sealed, tools, signal)),
  };
  tools.reporter.step('sign', `the statement of ${entry.tag}`);
  const text = await tools.statements.signStatement(statement, key, signal);
  await tools.store.saveSealStatement(entry.seal, text);
  let isTrusted = false;
  try {
    const found = await verifySealStatement(text, { ...entry, ...labels }, policy, tools, signal);
    const proof = await makeProof(entry.seal, found, [found.provenance.signedBase], tools);
    await tools.store.updateImage(entry.seal, (now) => withProof(now ?? entry, proof));
    isTrusted = true;
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    const words = `this policy does not trust who signed it: ${error.message}`;
    if (requiresSigned(policy)) tools.reporter.warn(words);
    else tools.reporter.debug(words);
  }
  tools.reporter.done();
  return { tag: entry.tag, seal: entry.seal, isTrusted };
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
