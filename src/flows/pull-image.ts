import { SjsError } from '../errors.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { sha256 } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import type { Owner } from '../model/record.js';
import {
  formatReference,
  formatRepository,
  parseReference,
  type DigestReference,
} from '../model/reference.js';
import { GATEWAY_NAME } from '../model/sandbox.js';
import { FORMAT_VERSION, formatTag, type IndexEntry } from '../model/sealed-image.js';
import { decodeLabels } from '../model/sealed-labels.js';
import type { PushedSeal } from '../model/seal-proof.js';
import type { Registry } from '../ports/registry.js';
import type { Reporter } from '../ports/reporter.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { sealedRequirement } from '../stages/policy/sealed-requirement.js';
import { resolveSealed, type RegistryImage } from '../stages/resolve/resolve-sealed.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { checkProvenance, type CheckedProvenance } from '../stages/verify/check-provenance.js';
import { verifySealed, type SignedSeal } from '../stages/verify/verify-sealed.js';
import { refuseTaken } from './build-sandbox.js';
import type { TargetTools } from './find-target.js';
import { provideGateway, type ProvideTools } from './provide-gateway.js';
import { requireCosign } from './require-cosign.js';
import { withPlace } from './push-image.js';
import { makeProof, subjectOfSeal, withProof, type TrustTools } from './trust-seal.js';

/** What pulling needs of the world. */
export interface PullTools extends TargetTools, TrustTools, ProvideTools {
  readonly store: TargetTools['store'];
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly reporter: Reporter;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
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
 * @throws SjsError as {@link verifySealed}; `SEAL_MISMATCH`, `SEAL_REFUSED`, `ATTESTATION_MISMATCH`, `POLICY_VIOLATION`,
 * `BASE_DENIED`, `TARGET_NOT_FOUND`, `REFERENCE_INVALID`, and what engine and registry fail with.
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
  if (labels.name === GATEWAY_NAME) {
    throw new SjsError('SEAL_REFUSED', `${GATEWAY_NAME} is the gateway of another sjs`, {
      next: 'pull what needs it instead: sjs builds the gateway that goes with it',
    });
  }
  const subject = { name, seal: there.seal, baseDigest: labels.baseDigest };
  const provenances = (signed.statements.get('slsaprovenance1') ?? []).map((one) =>
    checkProvenance(one, subject),
  );
  const [provenance] = provenances;
  const known = await tools.store.findImageBySeal(there.seal);
  const found = known ?? newEntry(there, labels, provenance, tools);
  const facts = { ...signed, baseDigest: provenance?.signedBase ?? null };
  const proof = await makeProof(there.seal, facts, tools);
  const place: PushedSeal = {
    repository: signed.repository,
    digest,
    at: new Date(tools.clock.now()).toISOString(),
    publicKey: null,
  };
  const take = (now: IndexEntry | null): IndexEntry => withProof(withPlace(now ?? found, place), proof);
  const entry = take(known);
  const judged = await subjectOfSeal(entry, policy, tools);
  checkSealedPlan(policy, labels, provenance ? [provenance.signedBase] : [], judged);
  await fetch(reference, entry, take, tools, signal);
  const sealed = checkSeal(await tools.images.inspect(entry.tag, signal), entry);
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

/** The entry of a seal that others made; nothing that a later build could take for its own. */
function newEntry(
  { seal }: RegistryImage,
  { name, version, baseDigest, baseVersion }: ReturnType<typeof decodeLabels>,
  provenance: CheckedProvenance | undefined,
  { clock }: PullTools,
): IndexEntry {
  const now = new Date(clock.now()).toISOString();
  return {
    formatVersion: FORMAT_VERSION,
    seal,
    tag: formatTag(name, version, seal),
    name,
    version,
    imageId: '',
    inputs: sha256(`imported\n${seal}`),
    base: {
      image: provenance?.baseImage ?? '',
      digest: provenance?.signedBase ?? baseDigest,
      manifestDigest: baseDigest,
      version: baseVersion,
    },
    createdAt: now,
    imported: { at: now, trustedBy: 'signature' },
  };
}

/** Makes the engine hold the image under its tag, unless it does; the index first, the tag last, as a build does. */
async function fetch(
  reference: DigestReference,
  entry: IndexEntry,
  take: (now: IndexEntry | null) => IndexEntry,
  tools: PullTools,
  signal?: AbortSignal,
): Promise<void> {
  const { images, store, registry, reporter } = tools;
  await refuseTaken(entry, store);
  const present = await images.inspect(entry.tag, signal);
  if (present) {
    // Somebody else's image under this tag is not replaced.
    checkSeal(present, entry);
    await store.updateImage(entry.seal, (now) => ({ ...take(now), imageId: present.imageId }));
    return;
  }
  const name = formatReference(reference);
  reporter.step('pull', name);
  const had = await images.inspect(name, signal);
  const credentials = await registry.credentials(reference.registry, signal);
  await images.pull(reference, credentials, (message) => reporter.debug(message), signal);
  const building = formatBuildingTag(await tools.owner(), tools.createId());
  try {
    const image = await images.inspect(name, signal);
    checkSeal(image, entry);
    const imageId = image?.imageId ?? '';
    // Until it is sealed it has a tag that says who is at work.
    await images.tag(imageId, building, signal);
    await store.updateImage(entry.seal, (now) => ({ ...take(now), imageId }));
    await images.tag(imageId, entry.tag, signal);
  } finally {
    const names = had ? [building] : [building, name];
    for (const one of names) {
      await images.remove(one).catch((error: unknown) => reporter.debug(String(error)));
    }
  }
}
