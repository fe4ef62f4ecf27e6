import { SjsError, type ErrorCode } from '../errors.js';
import type { Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { Resources } from '../model/sandbox.js';
import {
  signedDigestsOf,
  type IndexEntry,
  type SealedImage,
  type SignedOrigin,
} from '../model/sealed-image.js';
import { textOfProof, type SealProof } from '../model/seal-proof.js';
import type { Subject, UsedWaiver } from '../model/waiver.js';
import type { Clock } from '../ports/clock.js';
import type { RecordStore } from '../ports/record-store.js';
import { tightenResources } from '../stages/plan/tighten-resources.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { requiresSigned, sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { checkProof } from '../stages/verify/check-proof.js';

/** What judging a seal's trust needs. */
export interface TrustTools {
  readonly store: Pick<RecordStore, 'fingerprint' | 'findImageBySeal'>;
  readonly clock: Clock;
}

/** Proofs of one seal that are kept: of the same place the newest, and no more than this. */
const MOST_PROOFS = 8;

/** A proof of a seal that was made in this SJS_HOME, and why the policy does not accept it; undefined when it does. */
interface JudgedProof {
  readonly proof: SealProof;
  readonly refusal: SjsError | undefined;
}

/** As what a policy judges a seal, once that is trusted. */
export interface TrustedSeal {
  readonly subject: Subject;
  /** What was signed of its base; nothing when nobody knows. */
  readonly signedBase: readonly Digest[];
}

/**
 * Whether a seal may run at all under the policy of now (SPEC §2): one that was made here unless the policy asks for a
 * signature, one that the operator vouched for likewise, any other by the proof of a signature that the policy still
 * trusts. What was rebased from a seal that came in by its signature needs that signer's trust too. Needs no network.
 * @throws SjsError `SEAL_UNSIGNED`, `SEAL_PROOF_INVALID`, `SEAL_UNTRUSTED`, `SEAL_KEY_OUT_OF_DATE`,
 * `SEAL_REPOSITORY_MISMATCH`, `ATTESTATION_MISSING`.
 */
export async function trustSeal(entry: IndexEntry, policy: Policy, tools: TrustTools): Promise<TrustedSeal> {
  if (entry.origin) await checkOrigin(entry.tag, entry.origin, policy, tools);
  const proofs = await judgeProofs(entry, policy, tools);
  const signedBase = checkSigner(entry, proofs, policy);
  return { signedBase, subject: await makeSubject(entry, proofs, policy, tools) };
}

/** As the index has it now: it may have been signed anew, vouched for or built here since. */
async function checkOrigin(
  tag: string,
  origin: SignedOrigin,
  policy: Policy,
  tools: TrustTools,
): Promise<void> {
  const now = (await tools.store.findImageBySeal(origin.seal)) ?? origin;
  if (now.imported?.trustedBy !== 'signature') return;
  try {
    checkSigner(now, await judgeProofs(now, policy, tools), policy);
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    const { cause, next, location } = error;
    throw new SjsError(error.code, `${tag} was rebased from ${origin.tag}: ${error.message}`, {
      cause,
      ...(next !== undefined && { next }),
      ...(location && { location }),
    });
  }
}

/** What a rebase of a seal keeps of where that came from; undefined for what was made here or vouched for by hand. */
export function originFor({
  seal,
  tag,
  base,
  imported,
  signatures,
  origin,
}: IndexEntry): SignedOrigin | undefined {
  if (origin) return origin;
  if (imported?.trustedBy !== 'signature') return undefined;
  return { seal, tag, base, imported, ...(signatures && { signatures }) };
}

/** What was signed of the base of a seal that may run. */
function checkSigner(entry: SignedOrigin, proofs: readonly JudgedProof[], policy: Policy): readonly Digest[] {
  const isSigned = entry.imported?.trustedBy === 'signature';
  const asked = requiresSigned(policy);
  if (!isSigned && asked === null) return signedDigestsOf(entry);
  if ((entry.signatures ?? []).length === 0 && !isSigned) {
    throw new SjsError('SEAL_UNSIGNED', `${entry.tag} is not signed, and the policy asks for a signature`, {
      next: `sign it: sjs push --sign ${entry.tag}; or sjs pull where it was pushed and signed`,
      ...(asked && { location: asked }),
    });
  }
  const proof = newestAccepted(entry, proofs);
  if (!isSigned) return signedDigestsOf(entry);
  return proof.baseDigest === null ? [] : [proof.baseDigest, ...(proof.otherBases ?? [])];
}

/** What a signature is refused for by the policy of now: another signature of the same seal may count all the same. */
const REFUSALS: readonly ErrorCode[] = [
  'SEAL_UNSIGNED',
  'SEAL_UNTRUSTED',
  'SEAL_KEY_OUT_OF_DATE',
  'SEAL_REPOSITORY_MISMATCH',
  'SEAL_PROOF_INVALID',
  'STATEMENT_UNVERIFIED',
  'ATTESTATION_MISSING',
  'BASE_DENIED',
  'POLICY_VIOLATION',
];

/** Whether a signature does not count under the policy; false for what was found to be changed, or failed. */
export const isRefusal = (error: unknown): error is SjsError =>
  error instanceof SjsError && REFUSALS.includes(error.code);

/** A sealed image that the policy lets run, and as what it was judged. */
export interface Admission {
  readonly subject: Subject;
  /** What it would have been refused for, but for a waiver. */
  readonly waived: readonly UsedWaiver[];
}

/**
 * Whether a sealed image may run under the policy of now: its trust, then its rights, with the limits that it would
 * run with.
 * @param limits tighter ones that a run asks for; absent where nothing runs
 * @throws SjsError as {@link trustSeal}, {@link tightenResources} and {@link checkSealedPlan}
 */
export async function admitSeal(
  { entry, labels }: Pick<SealedImage, 'entry' | 'labels'>,
  policy: Policy,
  tools: TrustTools,
  limits?: Partial<Resources>,
): Promise<Admission> {
  const { subject, signedBase } = await trustSeal(entry, policy, tools);
  const resources = limits && tightenResources(labels.plan.resources, limits);
  return { subject, waived: checkSealedPlan(policy, labels, signedBase, subject, resources) };
}

/**
 * As what a policy judges a seal: where it, and what it was rebased from, comes from by the index of this SJS_HOME, and by
 * signatures that count today.
 */
export async function subjectOfSeal(entry: IndexEntry, policy: Policy, tools: TrustTools): Promise<Subject> {
  return makeSubject(entry, await judgeProofs(entry, policy, tools), policy, tools);
}

async function makeSubject(
  entry: IndexEntry,
  proofs: readonly JudgedProof[],
  policy: Policy,
  tools: TrustTools,
): Promise<Subject> {
  const earlier = await findEarlier(entry, tools.store);
  const judged = await Promise.all(earlier.map((one) => judgeProofs(one, policy, tools)));
  const locked = [entry, ...earlier].find(({ lockedIn }) => lockedIn !== undefined);
  return {
    name: entry.name,
    origin: {
      folder: locked?.lockedIn ?? null,
      repositories: [proofs, ...judged].flatMap(signedIn),
      seal: entry.seal,
    },
    now: tools.clock.now(),
  };
}

/** The seals that one was rebased from here, newest first, as far as the index still has them. */
async function findEarlier(entry: IndexEntry, store: TrustTools['store']): Promise<readonly IndexEntry[]> {
  const lineage = [entry];
  for (let from = entry.rebasedFrom; from !== undefined && lineage.every(({ seal }) => seal !== from);) {
    const found = await store.findImageBySeal(from);
    if (!found) break;
    lineage.push(found);
    from = found.rebasedFrom;
  }
  return lineage.slice(1);
}

/** Repositories where somebody signed a seal whom the policy trusts. A statement has none: it was signed under a name. */
const signedIn = (proofs: readonly JudgedProof[]): readonly string[] =>
  proofs.flatMap(({ proof, refusal }) =>
    proof.digest === null || refusal !== undefined ? [] : [proof.repository],
  );

/** The proofs of a seal that were made here, oldest first; none that is of another seal, or was changed. */
async function judgeProofs(
  { seal, tag, signatures = [] }: SignedOrigin,
  policy: Policy,
  { store, clock }: TrustTools,
): Promise<readonly JudgedProof[]> {
  const isOwn = await Promise.all(
    signatures.map(async (proof) => proof.mac === (await store.fingerprint(textOfProof(seal, proof)))),
  );
  return signatures
    .filter((_, at) => isOwn[at])
    .map((proof) => {
      try {
        checkProof(proof, sealedRequirement(policy, proof.repository), tag, clock);
        return { proof, refusal: undefined };
      } catch (refusal) {
        if (!(refusal instanceof SjsError)) throw refusal;
        return { proof, refusal };
      }
    });
}

/** The newest proof that was made here and that the policy accepts; else why the newest does not count. */
export async function findAccepted(
  entry: SignedOrigin,
  policy: Policy,
  tools: TrustTools,
): Promise<SealProof> {
  return newestAccepted(entry, await judgeProofs(entry, policy, tools));
}

function newestAccepted({ tag, signatures = [] }: SignedOrigin, proofs: readonly JudgedProof[]): SealProof {
  const accepted = proofs.findLast(({ refusal }) => refusal === undefined);
  if (accepted) return accepted.proof;
  const newest = proofs.at(-1);
  if (newest?.refusal) throw newest.refusal;
  throw new SjsError('SEAL_PROOF_INVALID', `nothing in this SJS_HOME shows who signed ${tag}`, {
    cause:
      signatures.length === 0 ? 'the proof is gone' : 'the proof was changed, or comes from another SJS_HOME',
    next: 'take it in anew with sjs pull, which verifies the signature again',
  });
}

/** The proof of what was verified of a seal, and signed of its base, just now. */
export async function makeProof(
  seal: Digest,
  found: Pick<SealProof, 'repository' | 'digest' | 'signers'>,
  bases: readonly Digest[],
  { store, clock }: TrustTools,
): Promise<SealProof> {
  const { repository, digest, signers } = found;
  const [baseDigest = null, ...otherBases] = bases;
  const fields = {
    repository,
    digest,
    signers,
    baseDigest,
    ...(otherBases.length > 0 && { otherBases }),
    verifiedAt: new Date(clock.now()).toISOString(),
  };
  return { ...fields, mac: await store.fingerprint(textOfProof(seal, fields)) };
}

/** The entry with a proof, in place of an older one of the same place. */
export function withProof(entry: IndexEntry, proof: SealProof): IndexEntry {
  const others = (entry.signatures ?? []).filter(
    ({ repository, digest }) => repository !== proof.repository || digest !== proof.digest,
  );
  return { ...entry, signatures: [...others, proof].slice(-MOST_PROOFS) };
}
