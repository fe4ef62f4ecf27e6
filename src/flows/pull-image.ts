import { SjsError } from '../errors.js';
import type { Policy } from '../model/policy.js';
import {
  formatReference,
  formatRepository,
  parseReference,
  type DigestReference,
} from '../model/reference.js';
import type { IndexEntry } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import type { PushedSeal } from '../model/seal-proof.js';
import type { Registry } from '../ports/registry.js';
import type { Reporter } from '../ports/reporter.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { resolveSealed, type RegistryImage } from '../stages/resolve/resolve-sealed.js';
import { checkBills } from '../stages/attest/check-bill.js';
import { checkProvenances } from '../stages/verify/check-provenance.js';
import { verifySealed, type SignedSeal } from '../stages/verify/verify-sealed.js';
import { provideGateway, type ProvideTools } from './provide-gateway.js';
import { requireCosign } from './require-cosign.js';
import { withPlace } from './push-image.js';
import { foreignEntry, nowTrustedBy, takeIn, withSignedBase, type TakeInTools } from './take-in.js';
import { makeProof, subjectOfSeal, withProof, type TrustTools } from './trust-seal.js';

/** What pulling needs of the world. */
export interface PullTools extends TakeInTools, TrustTools, ProvideTools {
  readonly store: TakeInTools['store'];
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly reporter: Reporter;
  readonly loadPolicy: () => Promise<Policy>;
}

/** A sealed image that came from a registry. */
export interface PullResult {
  readonly tag: string;
  readonly seal: string;
  /** `registry/path@digest` */
  readonly reference: string;
  readonly digest: string;
  /** Who signed it: the fingerprint of a key, or identity and issuer. */
  readonly signers: readonly string[];
  /** Files and lines of the policy that trust them. */
  readonly trustedBy: readonly string[];
  readonly attestations: readonly string[];
  /** Whether this SJS_HOME had made, or taken in, the seal before. */
  readonly wasKnown: boolean;
}

/**
 * Takes in a sealed image from a registry: its signature and attestations are verified under the policy's `sealed` before
 * the engine is given anything, the seal that was signed is compared with what the registry has and then with what the
 * engine has, its rights with the policy. What was verified stays in the index, for runs without a network.
 * @throws SjsError as {@link verifySealed}; `SEAL_MISMATCH`, `SEAL_REFUSED`, `SEAL_PLATFORM_MISMATCH`, `ATTESTATION_MISMATCH`, `SBOM_MISMATCH`,
 * `POLICY_VIOLATION`, `BASE_DENIED`, `TARGET_NOT_FOUND`, `REFERENCE_INVALID`, and what engine and registry fail with.
 */
export async function pullImage(text: string, tools: PullTools, signal?: AbortSignal): Promise<PullResult> {
  const { tag, digest: pinned, ...repository } = parseReference(text);
  if (tag === undefined && pinned === undefined) {
    throw new SjsError('REFERENCE_INVALID', `${text} has neither a tag nor a digest`, {
      next: 'give the reference that sjs push printed: registry/path@sha256:…',
    });
  }
  const policy = await tools.loadPolicy();
  // Before anything is asked of it: a reference could name any host that this machine reaches.
  const requirement = sealedRequirement(policy, formatRepository(repository));
  await requireCosign(policy, tools, signal);
  const platform = await tools.images.platform(signal);
  const look = (pointer: string) => resolveSealed(repository, pointer, platform, tools.registry, signal);
  const named = pinned === undefined ? await look(tag ?? '') : null;
  if (pinned === undefined) {
    if (named === null) throw notThere(text);
    tools.reporter.step('resolve', `${text} is ${named.digest}`);
  }
  const digest = pinned ?? (named as RegistryImage).digest;
  const reference: DigestReference = { ...repository, digest };
  const name = formatReference(reference);
  tools.reporter.step('verify', name);
  const [there, signed] = await Promise.all([
    named ?? look(digest),
    verifySealed(reference, requirement, ['slsaprovenance1'], tools.verifier, tools.clock, signal),
  ]);
  if (there === null) throw notThere(name);
  if (there.seal !== signed.seal) {
    throw new SjsError('SEAL_MISMATCH', `${name} has the seal ${there.seal}, and ${signed.seal} was signed`, {
      next: 'do not use it; ask who signed it',
    });
  }
  const labels = decodeLabels(there.image.config.Labels ?? {});
  const subject = { name, seal: there.seal, baseDigest: labels.baseDigest };
  const { provenance, signedBases } = checkProvenances(
    signed.statements.get('slsaprovenance1') ?? [],
    subject,
  );
  const foreignBills = checkBills(signed.statements, { name, seal: there.seal, labels });
  const known = await tools.store.findImageBySeal(there.seal);
  const base = { image: '', digest: labels.baseDigest };
  // A gateway is refused even where its seal is known: none is ever pulled.
  const fresh = foreignEntry(there.seal, labels, base, 'signature', tools);
  const proof = await makeProof(there.seal, signed, signedBases, tools);
  const place: PushedSeal = {
    repository: signed.repository,
    digest,
    at: new Date(tools.clock.now()).toISOString(),
    publicKey: null,
  };
  // A run has to ask of the base what is asked here: what was signed of it, not what an operator's word left unsaid.
  const update = (now: IndexEntry | null): IndexEntry => {
    const entry = nowTrustedBy(now ?? fresh, 'signature');
    const based = provenance ? withSignedBase(entry, provenance) : entry;
    return withProof(withPlace(based, place), proof);
  };
  const entry = update(known);
  const judged = await subjectOfSeal(entry, policy, tools);
  checkSealedPlan(policy, labels, signedBases, judged);
  const sealed = await takeIn(
    { entry, update, isKnown: true, bring: (building) => bring(reference, building, tools, signal) },
    tools,
    signal,
  );
  for (const type of foreignBills)
    tools.reporter.warn(
      `the bill of materials ${type} was not compared with what is there: sjs did not write it`,
    );
  if (known?.imported?.trustedBy === 'hand')
    tools.reporter.warn(`${entry.tag} was trusted by your word: from now on it is by its signature`);
  await provideGateway(sealed, judged, policy, tools, signal);
  tools.reporter.done();
  return describe(entry, reference, signed, known !== null);
}

const notThere = (name: string): SjsError =>
  new SjsError('TARGET_NOT_FOUND', `there is no image ${name}`, {
    next: 'check the reference: sjs push prints it',
  });

const describe = (
  { tag, seal }: IndexEntry,
  reference: DigestReference,
  { signers, rules, statements }: SignedSeal,
  wasKnown: boolean,
): PullResult => ({
  tag,
  seal,
  reference: formatReference(reference),
  digest: reference.digest,
  signers: [...new Set(signers.map((one) => one.name))],
  trustedBy: rules,
  attestations: [...statements.keys()],
  wasKnown,
});

/** Has the engine pull the digest, and names what came by the tag of ours alone. */
async function bring(
  reference: DigestReference,
  building: string,
  { images, registry, reporter }: PullTools,
  signal?: AbortSignal,
): Promise<void> {
  const name = formatReference(reference);
  reporter.step('pull', name);
  const had = await images.inspect(name, signal);
  const credentials = await registry.credentials(reference.registry, signal);
  await images.pull(reference, credentials, (message) => reporter.debug(message), signal);
  try {
    const image = await images.inspect(name, signal);
    if (image) await images.tag(image.imageId, building, signal);
  } finally {
    if (!had) await images.remove(name).catch((error: unknown) => reporter.debug(String(error)));
  }
}
