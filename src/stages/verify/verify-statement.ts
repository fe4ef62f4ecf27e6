import { SjsError } from '../../errors.js';
import { ATTESTATION_TYPES, PREDICATE_TYPES, type AttestationType } from '../../model/attestation-type.js';
import type { SealedRequirement, SignerRule } from '../../model/policy.js';
import type { ProvenSigner } from '../../model/seal-proof.js';
import { showPlace } from '../../model/show-place.js';
import type { Statement } from '../../model/statement.js';
import type { Clock } from '../../ports/clock.js';
import type { Signer } from '../../ports/signature-verifier.js';
import type { StatementSigner } from '../../ports/statement-signer.js';
import { mostHelpful } from './most-helpful.js';
import { nameSigner } from './verify-sealed.js';
import { fingerprintOf, usableKeys } from './trusted-keys.js';

/** A statement that verified, and in whose word. */
export interface VerifiedStatement {
  readonly statement: Statement;
  /** Fingerprint of the key, or identity and issuer of the certificate. */
  readonly signer: string;
  /** Where the policy trusts them. */
  readonly trustedBy: string;
  /** One for each layer of the policy that has an opinion. */
  readonly signers: readonly ProvenSigner[];
}

const NOT_IN_A_REGISTRY = { annotations: {}, signedRepository: null } as const;

/** The attestation that a statement itself is. */
const typesOf = (predicateType: string): readonly AttestationType[] =>
  ATTESTATION_TYPES.filter((type) => PREDICATE_TYPES[type] === predicateType);

/** Who signs, in the form that records keep. */
export function describeSigner(signer: Signer): string {
  if ('publicKey' in signer) return fingerprintOf(signer.publicKey);
  return `${signer.identity ?? signer.identityPattern} (${signer.issuer})`;
}

/**
 * Verifies a statement that was signed without a registry: every layer of the policy with an opinion must have a rule
 * whose signer signed it.
 * @throws SjsError the most telling refusal of all rules: `STATEMENT_UNVERIFIED`, `STATEMENT_CHANGED`, `BASE_KEY_OUT_OF_DATE`,
 * `POLICY_INVALID`, and what {@link StatementSigner} fails with.
 */
export async function verifyStatement(
  signed: string,
  predicateType: string,
  { repository, alternatives }: SealedRequirement,
  statements: StatementSigner,
  clock: Pick<Clock, 'now'>,
  signal?: AbortSignal,
): Promise<VerifiedStatement> {
  const satisfy = async (rule: SignerRule): Promise<VerifiedStatement> => {
    const { trustedRoot, transparencyLog } = rule;
    const signers: readonly Signer[] = rule.keyless
      ? [rule.keyless]
      : usableKeys(rule, clock.now()).map(({ publicKey }) => ({ publicKey }));
    return firstOf(signers, async (signer) => {
      const question = { signed, predicateType, signer, trustedRoot, transparencyLog };
      const statement = await statements.verifyStatement(question, signal);
      return {
        statement,
        signer: describeSigner(signer),
        trustedBy: showPlace(rule.location),
        signers: [
          { ...nameSigner(rule, signer), ...NOT_IN_A_REGISTRY, attestations: typesOf(predicateType) },
        ],
      };
    });
  };
  const layers = await Promise.all(alternatives.map((rules) => firstOf(rules, satisfy)));
  if (layers[0]) return { ...layers[0], signers: layers.flatMap(({ signers }) => signers) };
  throw new SjsError('SEAL_UNTRUSTED', `no policy trusts anybody for ${repository}`, {
    next: 'add a rule to sealed.signers of your policy',
  });
}

/** The first of all that succeed; else the most telling failure. */
async function firstOf<T, R>(items: readonly T[], attempt: (item: T) => Promise<R>): Promise<R> {
  const results = await Promise.allSettled(items.map(attempt));
  for (const result of results) if (result.status === 'fulfilled') return result.value;
  throw mostHelpful(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])),
  );
}
