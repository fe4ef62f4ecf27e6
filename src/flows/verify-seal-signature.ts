import { SjsError } from '../errors.js';
import { ATTESTATION_TYPES, type AttestationType } from '../model/attestation-type.js';
import { canonicalJson } from '../model/canonical-json.js';
import type { Digest } from '../model/digest.js';
import type { Policy, SealedRequirement, SignerRule } from '../model/policy.js';
import { formatReference, formatRepository, type DigestReference } from '../model/reference.js';
import type { IndexEntry, SealedLabels } from '../model/sealed-image.js';
import type { ProvenSigner } from '../model/seal-proof.js';
import { withAuthorities } from '../model/trusted-root.js';
import { checkBills } from '../stages/attest/check-bill.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { resolveSealed } from '../stages/resolve/resolve-sealed.js';
import { checkProvenances, type CheckedProvenance } from '../stages/verify/check-provenance.js';
import { verifySealed, whatRuleSays } from '../stages/verify/verify-sealed.js';
import type { TargetTools } from './find-target.js';
import { verifySealStatement, type StatementTools } from './verify-seal-statement.js';
import { findAccepted, isRefusal } from './trust-seal.js';
import type { VerifyTools } from './verify-base-request.js';

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
export interface Verified {
  readonly tag: string;
  readonly seal: Digest;
  readonly imageId: string | null;
  readonly labels: SealedLabels;
  readonly base: { readonly image: string; readonly digest: Digest } | null;
  readonly entry: IndexEntry | null;
  /** Where its signature is looked for. */
  readonly place: (DigestReference & { readonly publicKey: string | null }) | null;
}

/** What verifying the signature of a seal needs of the world. */
export type SignatureTools = Pick<VerifyTools, 'registry' | 'verifier'> & TargetTools & StatementTools;

/**
 * The signature of a sealed image, asked of the registry where it lies; else by the statement that is kept. Null where nobody
 * signed it.
 * @throws SjsError as {@link verifySealed} and {@link verifySealStatement}; `SEAL_MISMATCH`, `ATTESTATION_MISMATCH`,
 * `SBOM_MISMATCH`.
 */
export async function verifySignature(
  { tag, seal, imageId, labels, entry, place }: Verified,
  policy: Policy,
  tools: SignatureTools,
  signal?: AbortSignal,
): Promise<VerifiedNow | null> {
  if (!place) return entry && verifyKeptStatement(entry, labels, policy, tools, signal);
  const { publicKey: _key, ...reference } = place;
  const repository = formatRepository(reference);
  const requirement = requirementAt(place, entry, policy);
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
  tools: SignatureTools,
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
export interface VerifiedNow extends SignatureVerification {
  /** What was signed of the base, in each of the provenances. */
  readonly signedBases: readonly Digest[];
}

/** The same as it is reported. */
export function withoutBases(verified: VerifiedNow | null): SignatureVerification | null {
  if (!verified) return null;
  const { signedBases: _bases, ...rest } = verified;
  return rest;
}

/** Whether any layer says whose sealed images may run: what such a layer refuses is refused, one's own too. */
const hasOpinion = (policy: Policy): boolean =>
  policy.layers.some(({ sealed }) => sealed.signers !== undefined);

/**
 * What the policy asks for of what lies there; where it has no opinion of what was signed from here, that it still is.
 * @throws SjsError as {@link sealedRequirement}
 */
export function requirementAt(
  place: NonNullable<Verified['place']>,
  entry: Verified['entry'],
  policy: Policy,
): SealedRequirement {
  const { publicKey } = place;
  const repository = formatRepository(place);
  if (publicKey === null || entry?.imported || hasOpinion(policy))
    return sealedRequirement(policy, repository);
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

/**
 * What is shown of a signature without a network: by the statement that is kept, else by what was verified before. A
 * statement that does not count is passed over where another signature does, as at a run.
 */
export async function verifyOffline(
  entry: IndexEntry,
  labels: SealedLabels,
  policy: Policy,
  tools: SignatureTools,
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
  tools: SignatureTools,
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
