import type { BaseSignature, VerifiedBase } from '../model/base.js';
import type { Policy } from '../model/policy.js';
import { formatRepository } from '../model/reference.js';
import type { BaseRequest } from '../model/sandbox.js';
import { SjsError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { ImageStore } from '../ports/image-store.js';
import type { Registry } from '../ports/registry.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import type { UsedWaiver } from '../model/waiver.js';
import { checkFloors } from '../stages/policy/check-floors.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { refuseDenied } from '../stages/policy/effective-policy.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { parseRepository, resolveBase } from '../stages/resolve/resolve-base.js';
import { verifyBase } from '../stages/verify/verify-base.js';
import { findSealedImage, type TargetTools } from './find-target.js';

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
 * @param sandbox the name of the sandbox it is for: what is denied may be waived for it; null for none
 */
export async function verifyBaseRequest(
  request: BaseRequest,
  sandbox: string | null,
  tools: VerifyTools,
  signal?: AbortSignal,
): Promise<VerifiedBase> {
  const [policy, platform] = await Promise.all([tools.loadPolicy(), tools.images.platform(signal)]);
  // Before anything is asked of it: what was imported could name any host that this machine reaches.
  const rules = trustRequirement(policy, formatRepository(parseRepository(request.image)));
  const resolved = await resolveBase(request, platform, tools.registry, null, { update: true }, signal);
  const subject = { name: sandbox, now: tools.clock.now() };
  refuseDenied(policy, resolved, subject);
  if (policy.layers.some((layer) => layer.floors.cosign !== undefined))
    checkFloors(policy, { cosign: await tools.verifier.version(signal) }, subject);
  return verifyBase(resolved, rules, tools.verifier, tools.clock, signal);
}

/** The links of a sealed image's chain, each checked anew. */
export interface SealVerification {
  readonly tag: string;
  readonly seal: string;
  readonly imageId: string;
  readonly base: {
    readonly image: string;
    /** What is signed: an index or a manifest. */
    readonly digest: string;
    readonly version: string | null;
    /** Fingerprint of the key, or identity and issuer of the certificate. */
    readonly signer: string;
    readonly publicKey: BaseSignature['publicKey'];
    readonly keyless: BaseSignature['keyless'];
    readonly trustedRoot: BaseSignature['trustedRoot'];
    readonly transparencyLog: BaseSignature['transparencyLog'];
    readonly trustedBy: string;
  };
  /** Rules of the policy that are waived for it. */
  readonly waivers: readonly UsedWaiver[];
}

/**
 * Checks a sealed image from end to end: its seal against the engine, its rights against the policy, its base's
 * signature against the registry, and that the base is the one its label names.
 */
export async function verifySealedImage(
  target: string,
  tools: VerifyTools & TargetTools,
  signal?: AbortSignal,
): Promise<SealVerification> {
  const sealed = await findSealedImage(target, tools, signal);
  const waivers = checkSealedPlan(
    await tools.loadPolicy(),
    sealed.labels,
    sealed.entry.base.digest,
    tools.clock.now(),
  );
  const { base } = sealed.entry;
  const verified = await verifyBaseRequest(
    { image: base.image, digest: base.digest },
    sealed.labels.name,
    tools,
    signal,
  );
  if (verified.manifestDigest !== sealed.labels.baseDigest) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${sealed.entry.tag} was sealed over ${sealed.labels.baseDigest}, but ${base.image}@${base.digest} is ${verified.manifestDigest}`,
      {
        next: 'build it again with sjs build',
      },
    );
  }
  return {
    tag: sealed.entry.tag,
    seal: sealed.entry.seal,
    imageId: sealed.image.imageId,
    base: {
      image: base.image,
      digest: base.digest,
      version: verified.signedVersion,
      signer: verified.signature.signer,
      publicKey: verified.signature.publicKey,
      keyless: verified.signature.keyless,
      trustedRoot: verified.signature.trustedRoot,
      transparencyLog: verified.signature.transparencyLog,
      trustedBy: verified.signature.rule,
    },
    waivers,
  };
}
