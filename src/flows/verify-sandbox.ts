import { SjsError } from '../errors.js';
import { ATTESTATION_TYPES } from '../model/attestation-type.js';
import type { BaseSignature } from '../model/base.js';
import type { Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import { formatRepository, parseReference, type DigestReference } from '../model/reference.js';
import { formatTag, type IndexEntry } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import type { PushedSeal } from '../model/seal-proof.js';
import { targetForm } from '../model/target-form.js';
import type { Subject, UsedWaiver } from '../model/waiver.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { parseRepository } from '../stages/resolve/resolve-base.js';
import { resolveSealed } from '../stages/resolve/resolve-sealed.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { askOnce, beginVerifying } from '../stages/verify/verify-base.js';
import { beginVerifyingSealed } from '../stages/verify/verify-sealed.js';
import { findEntry } from './find-target.js';
import { requireCosign } from './require-cosign.js';
import { admitSeal } from './trust-seal.js';
import { verifyBaseRequest, type VerifyTools } from './verify-base-request.js';
import {
  requirementAt,
  verifyOffline,
  verifySignature,
  withoutBases,
  type SignatureTools,
  type SignatureVerification,
  type Verified,
} from './verify-seal-signature.js';

/** The links of a sealed image's chain, each checked anew unless it says otherwise. */
export interface SealVerification {
  readonly tag: string;
  readonly seal: string;
  /** Null for one in a registry that was not pulled: its content was computed from what the registry says. */
  readonly imageId: string | null;
  /** Null where nobody says which it was, or it was not asked about: `unchecked` says why. */
  readonly base: BaseVerification | null;
  /** Null for a seal that was made here and that nobody signed. */
  readonly signature: SignatureVerification | null;
  /** What was not checked, in words. */
  readonly unchecked: readonly string[];
  /** Rules of the policy that are waived for it. */
  readonly waivers: readonly UsedWaiver[];
}

/** The base of a sealed image. */
export interface BaseVerification {
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
}

type Tools = VerifyTools & SignatureTools;

/**
 * Checks a sealed image from end to end: its seal against the engine, its rights against the policy, its base's signature
 * against the registry and that the base is the one its label names, its own signature, and that what is attested of it
 * is what is there. What does not hang on each other is asked at once.
 * @param options `offline`: nobody is asked but the engine; what was verified before is judged by the policy of now
 */
export async function verifySealedImage(
  target: string,
  { offline }: { readonly offline: boolean },
  tools: Tools,
  signal?: AbortSignal,
): Promise<SealVerification> {
  const policy = await tools.loadPolicy();
  await requireCosign(policy, tools, signal);
  // What was asked ahead ends with what wanted to know it.
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    return await checkLinks(target, offline, policy, offline ? tools : askingOnce(tools, either), either);
  } finally {
    stop.abort();
  }
}

async function checkLinks(
  target: string,
  offline: boolean,
  policy: Policy,
  tools: Tools,
  signal: AbortSignal,
): Promise<SealVerification> {
  const subject = await findSubject(target, policy, tools, offline, signal);
  const { labels, entry } = subject;
  const admitted = entry && (await admitSeal({ entry, labels }, policy, tools));
  const { tag, seal, imageId } = subject;
  if (offline) {
    const signature = entry && (await verifyOffline(entry, labels, policy, tools, signal));
    const unchecked = ['the signature of the base: nobody was asked', ...(signature ? [] : [NOBODY_SIGNED])];
    return { tag, seal, imageId, base: null, signature, unchecked, waivers: admitted?.waived ?? [] };
  }
  const judged = admitted?.subject ?? remoteSubject(subject, tools);
  const [verifiedNow, ownBase] = await Promise.all([
    verifySignature(subject, policy, tools, signal),
    subject.base && verifyOwnBase(subject, subject.base, judged, policy, tools, signal),
  ]);
  const signature = withoutBases(verifiedNow);
  const attested = signature?.provenance;
  const waivers = admitted?.waived ?? checkSealedPlan(policy, labels, verifiedNow?.signedBases ?? [], judged);
  const base =
    ownBase ??
    (attested?.baseImage
      ? await verifyOwnBase(
          subject,
          { image: attested.baseImage, digest: attested.signedBase },
          judged,
          policy,
          tools,
          signal,
        )
      : null);
  const unchecked = [
    ...(base ? [] : ['the signature of the base: this policy does not trust it, or nobody says where it is']),
    ...(signature ? [] : [NOBODY_SIGNED]),
    ...(signature?.foreignBills ?? []).map((type) => `the bill of materials ${type}: sjs did not write it`),
    ...(imageId === null ? ['the layers: the image was not pulled'] : []),
  ];
  return { tag, seal, imageId, base, signature, unchecked, waivers };
}

/** An image in a registry as it would be judged after a pull: its signature was verified by then. */
const remoteSubject = ({ seal, labels, place }: Verified, { clock }: Pick<Tools, 'clock'>): Subject => ({
  name: labels.name,
  origin: { folder: null, repositories: place ? [formatRepository(place)] : [], seal },
  now: clock.now(),
});

const NOBODY_SIGNED = 'a signature of the image: nobody signed it, or the policy says nothing of who did';

async function findSubject(
  target: string,
  policy: Policy,
  tools: Tools,
  offline: boolean,
  signal?: AbortSignal,
): Promise<Verified> {
  try {
    const entry = await findEntry(target, tools, signal);
    const { tag, seal } = entry;
    const base = entry.base.image === '' ? null : entry.base;
    const place = placeOf(entry, target);
    if (!offline) beginAsking({ entry, base, place }, policy, tools, signal);
    const { labels, image } = checkSeal(await tools.images.inspect(tag, signal), entry);
    return { tag, seal, imageId: image.imageId, labels, base, entry, place };
  } catch (error) {
    const isAbsent = error instanceof SjsError && error.code === 'TARGET_NOT_FOUND';
    if (offline || !isAbsent || targetForm(target) !== 'image') throw error;
  }
  const { registry, path, digest } = parseReference(target) as DigestReference;
  // Before anything is asked of it.
  sealedRequirement(policy, formatRepository({ registry, path }));
  const platform = await tools.images.platform(signal);
  const found = await resolveSealed({ registry, path }, digest, platform, tools.registry, signal);
  if (!found) {
    throw new SjsError('TARGET_NOT_FOUND', `there is no image ${target}`, {
      next: 'check the reference: sjs push prints it',
    });
  }
  const labels = decodeLabels(found.image.config.Labels ?? {});
  return {
    tag: formatTag(labels.name, labels.version, found.seal),
    seal: found.seal,
    imageId: null,
    labels,
    base: null,
    entry: null,
    place: { registry, path, digest, publicKey: null },
  };
}

/** The same tools, for checks side by side: cosign is asked each question once, and the engine's platform now. */
function askingOnce(tools: Tools, signal?: AbortSignal): Tools {
  const { images, verifier } = tools;
  const platform = images.platform(signal);
  platform.catch(() => undefined);
  return {
    ...tools,
    images: { ...images, platform: () => platform },
    verifier: { ...verifier, ...askOnce(verifier) },
  };
}

/** Lets cosign look at what will be asked of it while the engine answers. What the policy does not trust is not asked about. */
function beginAsking(
  { entry, base, place }: Pick<Verified, 'entry' | 'base' | 'place'>,
  policy: Policy,
  { verifier, clock }: Tools,
  signal?: AbortSignal,
): void {
  const begin = (ask: () => void): void => {
    try {
      ask();
    } catch (error) {
      // It is said when the answer is wanted.
      if (!(error instanceof SjsError)) throw error;
    }
  };
  begin(() => {
    if (place) {
      const requirement = requirementAt(place, entry, policy);
      beginVerifyingSealed(place, requirement, ATTESTATION_TYPES, verifier, clock, signal);
    }
  });
  begin(() => {
    if (base) {
      const repository = parseRepository(base.image);
      const rules = trustRequirement(policy, formatRepository(repository));
      beginVerifying({ ...repository, digest: base.digest }, rules, verifier, clock, signal);
    }
  });
}

/** The place that the target names; else where the seal was signed or pulled from last; null where nobody signed it. */
function placeOf({ pushed = [], signatures = [] }: IndexEntry, target: string): Verified['place'] {
  const isSigned = ({ repository, digest, publicKey }: PushedSeal): boolean =>
    publicKey !== null ||
    signatures.some((proof) => proof.repository === repository && proof.digest === digest);
  const named = pushed.find(({ repository, digest }) => `${repository}@${digest}` === target);
  const place = named ?? pushed.findLast(isSigned);
  if (!place) return null;
  const { registry, path } = parseReference(place.repository);
  return { registry, path, digest: place.digest, publicKey: place.publicKey };
}

/** The base of what was sealed elsewhere may be one that this policy says nothing of: then its signer answers for it. */
async function verifyOwnBase(
  { tag, labels, entry }: Verified,
  base: { readonly image: string; readonly digest: Digest },
  judged: Subject,
  policy: Policy,
  tools: Tools,
  signal?: AbortSignal,
): Promise<BaseVerification | null> {
  if (!entry || entry.imported?.trustedBy === 'signature') {
    try {
      trustRequirement(policy, base.image);
    } catch {
      return null;
    }
  }
  const verified = await verifyBaseRequest({ image: base.image, digest: base.digest }, judged, tools, signal);
  if (verified.manifestDigest !== labels.baseDigest) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${tag} was sealed over ${labels.baseDigest}, but ${base.image}@${base.digest} is ${verified.manifestDigest}`,
      { next: 'build it again with sjs build' },
    );
  }
  const { signature } = verified;
  return {
    image: base.image,
    digest: base.digest,
    version: verified.signedVersion,
    signer: signature.signer,
    publicKey: signature.publicKey,
    keyless: signature.keyless,
    trustedRoot: signature.trustedRoot,
    transparencyLog: signature.transparencyLog,
    trustedBy: signature.rule,
  };
}
