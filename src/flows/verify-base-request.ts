import type { VerifiedBase } from '../model/base.js';
import type { Policy } from '../model/policy.js';
import { formatRepository } from '../model/reference.js';
import type { BaseRequest } from '../model/sandbox.js';
import type { Subject } from '../model/waiver.js';
import type { Clock } from '../ports/clock.js';
import type { ImageStore } from '../ports/image-store.js';
import type { Registry } from '../ports/registry.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { refuseDenied } from '../stages/policy/effective-policy.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { parseRepository, resolveBase } from '../stages/resolve/resolve-base.js';
import { verifyBase } from '../stages/verify/verify-base.js';
import { requireCosign } from './require-cosign.js';

/** What verifying needs of the world. */
export interface VerifyTools {
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly loadPolicy: () => Promise<Policy>;
}

/**
 * Resolves and verifies a base as a build would. Throws what those stages throw.
 * @param subject what it is for: what is denied may be waived for it
 */
export async function verifyBaseRequest(
  request: BaseRequest,
  subject: Subject,
  tools: VerifyTools,
  signal?: AbortSignal,
): Promise<VerifiedBase> {
  const [policy, platform] = await Promise.all([tools.loadPolicy(), tools.images.platform(signal)]);
  // Before anything is asked of it: what was imported could name any host that this machine reaches.
  const rules = trustRequirement(policy, formatRepository(parseRepository(request.image)));
  const resolved = await resolveBase(request, platform, tools.registry, null, { update: true }, signal);
  refuseDenied(policy, resolved, subject);
  await requireCosign(policy, tools, signal);
  return verifyBase(resolved, rules, tools.verifier, tools.clock, signal);
}
