import semver from 'semver';
import { SjsError } from '../../errors.js';
import type { ResolvedBase, VerifiedBase } from '../../model/base.js';
import type { BaseRule, TrustRequirement } from '../../model/policy.js';
import type { Clock } from '../../ports/clock.js';
import type { VerifiedPayload } from '../../ports/signature-verifier.js';
import { formatRepository, type DigestReference } from '../../model/reference.js';
import { showPlace } from '../../model/show-place.js';
import { checkPayload } from './check-payload.js';
import { askAhead, describeSigner, findEvidence, type Evidence, type Questions } from './evidence.js';

export { askOnce } from './evidence.js';

/**
 * Begins to ask what {@link verifyBase} will ask of this digest, with the same {@link askOnce}: cosign needs as long as
 * the rest of a build, and a lock knows the digest before the registry has said anything. Decides nothing.
 */
export function beginVerifying(
  reference: DigestReference,
  { alternatives }: TrustRequirement,
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): void {
  askAhead({ reference, alternatives }, verifier, clock, signal);
}

/**
 * Verifies the digest that the tag or pin named: every layer of the policy with an opinion must have a rule that a
 * signature satisfies. Questions to cosign are asked at once, each one once. Denied digests are the caller's.
 * @throws SjsError the most telling refusal of all rules: `BASE_UNTRUSTED`, `BASE_UNVERIFIED`, `BASE_KEY_MISMATCH`,
 * `BASE_KEY_OUT_OF_DATE`, `BASE_IDENTITY_MISMATCH`, `BASE_DIGEST_MISMATCH`, `BASE_VERSION_MISMATCH`, `BASE_REPOSITORY_MISMATCH`,
 * `POLICY_INVALID` for a key that is none, and what cosign and the registry fail with.
 */
export async function verifyBase(
  base: ResolvedBase,
  requirement: TrustRequirement,
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): Promise<VerifiedBase> {
  const { alternatives } = requirement;
  const repository = formatRepository(base.repository);
  if (
    requirement.repository !== repository ||
    alternatives.length === 0 ||
    alternatives.some((rules) => rules.length === 0)
  ) {
    throw new SjsError('BASE_UNTRUSTED', `no policy trusts ${repository}`, {
      next: 'import it with sjs base import … --sign-key KEY --trust, or add a rule to bases: of your policy',
    });
  }
  const reference = { ...base.repository, digest: base.digest };
  const check = (payload: VerifiedPayload, rule: BaseRule): SjsError | null =>
    checkPayload(payload, rule, base);
  const layers = await findEvidence({ reference, alternatives, check }, verifier, clock, signal);
  const first = layers[0]?.[0] as Evidence<BaseRule>;
  const fields = {
    ...base,
    signature: {
      ...describeSigner(first),
      transparencyLog: first.rule.transparencyLog,
      annotations: first.payload.annotations,
      rule: showPlace(first.rule.location),
    },
    signedVersion: semver.valid(first.payload.annotations['version']) ?? base.version,
    allowSetuidFiles: layers.every((found) => found.some(({ rule }) => rule.allowSetuidFiles)),
  };
  return fields as unknown as VerifiedBase;
}
