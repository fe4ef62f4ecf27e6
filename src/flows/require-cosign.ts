import type { Policy } from '../model/policy.js';
import { noSandbox } from '../model/waiver.js';
import type { Clock } from '../ports/clock.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { checkFloors } from '../stages/policy/check-floors.js';

/** What asking for the version of cosign needs. */
export interface CosignTools {
  readonly verifier: Pick<SignatureVerifier, 'version'>;
  readonly clock: Clock;
}

/**
 * Whether the cosign that is about to verify is above the policy's floor; asked for only where there is one. What trust
 * stands on cannot be waived. Throws `POLICY_VIOLATION`.
 */
export async function requireCosign(
  policy: Policy,
  { verifier, clock }: CosignTools,
  signal?: AbortSignal,
): Promise<void> {
  if (policy.layers.every(({ floors }) => floors.cosign === undefined)) return;
  checkFloors(policy, { cosign: await verifier.version(signal) }, noSandbox(clock.now()));
}
