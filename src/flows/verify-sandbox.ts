import { SjsError } from '../errors.js';
import { ATTESTATION_TYPES, type AttestationType } from '../model/attestation-type.js';
import type { BaseSignature } from '../model/base.js';
import { canonicalJson } from '../model/canonical-json.js';
import type { Digest } from '../model/digest.js';
import type { Policy, SealedRequirement, SignerRule } from '../model/policy.js';
import {
  formatReference,
  formatRepository,
  parseReference,
  type DigestReference,
} from '../model/reference.js';
import { formatTag, type IndexEntry, type SealedLabels } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import type { ProvenSigner, PushedSeal } from '../model/seal-proof.js';
import { withAuthorities } from '../model/trusted-root.js';
import type { Subject, UsedWaiver } from '../model/waiver.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { resolveSealed } from '../stages/resolve/resolve-sealed.js';
import { checkBills } from '../stages/attest/check-bill.js';
import { checkProvenances, type CheckedProvenance } from '../stages/verify/check-provenance.js';
import { verifySealed, whatRuleSays } from '../stages/verify/verify-sealed.js';
import { findSealedImage, targetForm, type TargetTools } from './find-target.js';
import { verifySealStatement, type StatementTools } from './seal-statement.js';
import { requireCosign } from './require-cosign.js';
import { verifyBaseRequest, type VerifyTools } from './verify-base-request.js';
import { admitSeal, findAccepted, isRefusal } from './trust-seal.js';

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

/** Who signed a sealed image, and what they attest of it. */
export interface SignatureVerification {
  readonly repository: string;
  /** Of the manifest. */
  readonly digest: string;
  readonly signers: readonly ProvenSigner[];
  /** Files and lines of the policy that trust them. */
  readonly trustedBy: readonly string[];
  readonly attestations: readonly AttestationType[];
  /** Of these, the bills of materials that another tool wrote: what is in them is its word. */
  readonly foreignBills: readonly AttestationType[];
  /** What the provenance says; null without one. */
  readonly provenance: CheckedProvenance | null;
  /** When it was verified, where that was not now. */
  readonly verifiedAt: string | null;
  /** Text of the trusted root whose authorities and logs vouch for the first of the signers; null for public Sigstore's, or none. */
  readonly trustedRoot: string | null;
  /** Where the statement lies that was signed without a registry; null for a signature in one. */
  readonly statementFile: string | null;
}

/** What is verified: a seal in the index, or an image of a registry. */
interface Verified {
  readonly tag: string;
  readonly seal: Digest;
  readonly imageId: string | null;
  readonly labels: SealedLabels;
  readonly base: { readonly image: string; readonly digest: Digest } | null;
  readonly entry: IndexEntry | null;
  /** Where its signature is looked for. */
  readonly place: (DigestReference & { readonly publicKey: string | null }) | null;
}

type Tools = VerifyTools & TargetTools & StatementTools;

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
    const { entry, labels, image } = await findSealedImage(target, tools, signal);
    const { tag, seal, base } = entry;
    const place = placeOf(entry, target);
    return { tag, seal, imageId: image.imageId, labels, base: base.image === '' ? null : base, entry, place };
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

async function verifySignature(
  { tag, seal, imageId, labels, entry, place }: Verified,
  policy: Policy,
  tools: Tools,
  signal?: AbortSignal,
): Promise<VerifiedNow | null> {
  if (!place) return entry && verifyKeptStatement(entry, labels, policy, tools, signal);
  const { publicKey, ...reference } = place;
  const repository = formatRepository(reference);
  const requirement = requirementOf(policy, repository, entry?.imported ? null : publicKey);
  const platform = imageId === null ? null : await tools.images.platform(signal);
  const [signed, there] = await Promise.all([
    verifySealed(reference, requirement, ATTESTATION_TYPES, tools.verifier, tools.clock, signal),
    platform && resolveSealed(reference, reference.digest, platform, tools.registry, signal),
  ]);
  const other = [signed.seal, there?.seal ?? seal].find((one) => one !== seal);
  if (other !== undefined) {
    throw new SjsError(
      'SEAL_MISMATCH',
      `${formatReference(reference)} is of the seal ${other}, and ${tag} of ${seal}`,
      {
        next: 'ask who signed it',
      },
    );
  }
  const { provenance, signedBases } = checkProvenances(signed.statements.get('slsaprovenance1') ?? [], {
    name: tag,
    seal,
    baseDigest: labels.baseDigest,
  });
  return {
    signedBases,
    repository,
    digest: reference.digest,
    signers: signed.signers,
    trustedBy: signed.rules,
    attestations: [...signed.statements.keys()],
    foreignBills: checkBills(signed.statements, { name: tag, seal, labels }),
    provenance,
    verifiedAt: null,
    trustedRoot: trustedRootFor(signed.signers, requirement),
    statementFile: null,
  };
}

/** The statement that is kept of a seal, verified anew; null where there is none, or this policy says nothing of it. */
async function verifyKeptStatement(
  entry: IndexEntry,
  { baseDigest }: SealedLabels,
  policy: Policy,
  tools: Tools,
  signal?: AbortSignal,
): Promise<VerifiedNow | null> {
  const text = await tools.store.readSealStatement(entry.seal);
  if (text === null) return null;
  // Where nobody has an opinion one's own statement is no worse than none; what came in by it is nothing without.
  if (!hasOpinion(policy) && entry.imported?.trustedBy !== 'signature') return null;
  const requirement = sealedRequirement(policy, `sjs/${entry.name}`);
  const found = await verifySealStatement(text, { ...entry, baseDigest }, policy, tools, signal);
  return {
    signedBases: [found.provenance.signedBase],
    repository: found.repository,
    digest: entry.seal,
    signers: found.signers,
    trustedBy: [found.trustedBy],
    attestations: ['slsaprovenance1'],
    foreignBills: [],
    provenance: found.provenance,
    verifiedAt: null,
    trustedRoot: trustedRootFor(found.signers, requirement),
    statementFile: tools.store.sealStatementFile(entry.seal),
  };
}

/** A signature as it was verified just now. */
interface VerifiedNow extends SignatureVerification {
  /** What was signed of the base, in each of the provenances. */
  readonly signedBases: readonly Digest[];
}

function withoutBases(verified: VerifiedNow | null): SignatureVerification | null {
  if (!verified) return null;
  const { signedBases: _bases, ...rest } = verified;
  return rest;
}

/** Whether any layer says whose sealed images may run: what such a layer refuses is refused, one's own too. */
const hasOpinion = (policy: Policy): boolean =>
  policy.layers.some(({ sealed }) => sealed.signers !== undefined);

/** What the policy asks for; where it has no opinion of what was signed from here, that it still is. */
function requirementOf(policy: Policy, repository: string, publicKey: string | null): SealedRequirement {
  if (publicKey === null || hasOpinion(policy)) return sealedRequirement(policy, repository);
  const rule: SignerRule = {
    repository,
    mirrors: [],
    keys: [{ publicKey, notBefore: null, notAfter: null }],
    keyless: null,
    trustedRoot: null,
    annotations: {},
    attestations: policy.layers.flatMap(({ sealed }) => sealed.attestations),
    transparencyLog: 'none',
    location: { file: 'this SJS_HOME (which signed it)' },
  };
  return { repository, alternatives: [[rule]] };
}

/** The text of the trusted root by which the first signer was accepted; a proof keeps its digest alone. */
function trustedRootFor(
  [signer]: readonly ProvenSigner[],
  { alternatives }: SealedRequirement,
): string | null {
  const rule = alternatives.flat().find(
    (one) =>
      canonicalJson(whatRuleSays(one)) ===
      canonicalJson({
        keyless: signer?.keyless ?? null,
        trustedRoot: signer?.trustedRoot ?? null,
        transparencyLog: signer?.transparencyLog ?? 'required',
      }),
  );
  if (!rule) return null;
  const caRoots = rule.keyless?.caRoots ?? null;
  return caRoots === null ? rule.trustedRoot : withAuthorities(rule.trustedRoot, caRoots);
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

/**
 * What is shown of a signature without a network: by the statement that is kept, else by what was verified before. A
 * statement that does not count is passed over where another signature does, as at a run.
 */
async function verifyOffline(
  entry: IndexEntry,
  labels: SealedLabels,
  policy: Policy,
  tools: Tools,
  signal?: AbortSignal,
): Promise<SignatureVerification | null> {
  try {
    const kept = await verifyKeptStatement(entry, labels, policy, tools, signal);
    if (kept) return withoutBases(kept);
  } catch (refusal) {
    if (!isRefusal(refusal)) throw refusal;
    const proven = await proveOffline(entry, policy, tools).catch((error: unknown) => {
      throw isRefusal(error) ? refusal : error;
    });
    if (!proven) throw refusal;
    return proven;
  }
  return proveOffline(entry, policy, tools);
}

/** What was verified before, as the policy judges it now. */
async function proveOffline(
  entry: IndexEntry,
  policy: Policy,
  tools: Tools,
): Promise<SignatureVerification | null> {
  if ((entry.signatures ?? []).length === 0) return null;
  const proof = await findAccepted(entry, policy, tools);
  return {
    repository: proof.repository,
    digest: proof.digest ?? entry.seal,
    signers: proof.signers,
    trustedBy: [],
    attestations: [...new Set(proof.signers.flatMap(({ attestations }) => attestations))],
    foreignBills: [],
    provenance: null,
    verifiedAt: proof.verifiedAt,
    trustedRoot: null,
    statementFile: null,
  };
}
