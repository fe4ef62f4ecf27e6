import { SjsError } from '../errors.js';
import type { VerifiedBase } from '../model/base.js';
import type { BuildFacts } from '../model/build-facts.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { canonicalJson } from '../model/canonical-json.js';
import { sha256, type Digest } from '../model/digest.js';
import { formatSandbox } from '../model/format-sandbox.js';
import { filledLayers } from '../model/image-layers.js';
import type { Policy } from '../model/policy.js';
import { formatRepository } from '../model/reference.js';
import type { BaseRequest, Sandbox } from '../model/sandbox.js';
import type { IndexEntry, SealedImage } from '../model/sealed-image.js';
import { buildImage, fetchBase, type BuildEnvironment } from '../stages/build/build-image.js';
import { changes, type Change } from '../stages/compare/changes.js';
import { parseSandbox } from '../stages/load/load-sandbox.js';
import { repackLayers } from '../stages/pack/repack-layers.js';
import { checkSealedPlan } from '../stages/policy/check-sandbox.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { renderDockerfile, type RenderedImage } from '../stages/render/render-dockerfile.js';
import { parseRepository, resolveBase } from '../stages/resolve/resolve-base.js';
import { checkBuiltImage, checkRootfs } from '../stages/seal/check-built-image.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { findingsOf, readVersions, timeOf, type BuildTools } from './build-sandbox.js';
import { baseFacts } from './describe-plan.js';
import { baseOf, enterSealed, refresh } from './enter-sealed.js';
import { findSealedImage } from './find-target.js';
import { ownLayers, withOwnLayers } from './own-layers.js';
import { requireVersions } from './prepare-build.js';
import { provideGateway } from './provide-gateway.js';
import { originFor, subjectOfSeal, trustSeal } from './trust-seal.js';
import { verifyBaseRequest } from './verify-base-request.js';

/** What rebasing needs of the world. */
export interface RebaseTools extends Omit<BuildTools, 'loadPolicy'> {
  readonly loadPolicy: () => Promise<Policy>;
  readonly build: BuildTools;
}

/** What a rebase made, or found made. */
export interface RebaseResult {
  readonly tag: string;
  readonly seal: string;
  /** What it stands on now. */
  readonly base: IndexEntry['base'];
  readonly from: { readonly tag: string; readonly seal: string };
  /** Image, version and digest of the base. */
  readonly baseChanges: readonly Change[];
  /** True when it was made before and nothing was built. */
  readonly cached: boolean;
}

/**
 * Puts what is sealed over another base, from the sealed image alone. The base is resolved and verified as for a build;
 * the layers over it are those of the sealed image, digest for digest; rights, program and environment are the same. What
 * comes of it is sealed as any build, and says in a label which seal it came from.
 * @throws SjsError what finding the image and verifying a base throw; `POLICY_VIOLATION`, `SEAL_REFUSED`
 */
export async function rebaseImage(
  target: string,
  request: BaseRequest,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<RebaseResult> {
  const startedAt = timeOf(tools);
  const sealed = await findSealedImage(target, tools, signal);
  const policy = await tools.loadPolicy();
  // What may not run may not become something of one's own that may.
  const {
    subject: { origin, ...rest },
  } = await trustSeal(sealed.entry, policy, tools);
  // What is waived for a seal is not waived for another that is made of it.
  const subject = { ...rest, origin: { ...origin, seal: null } };
  const base = await verifyBaseRequest(request, subject, tools, signal);
  await requireVersions(policy, subject, tools, signal);
  const rendered = await render(sealed, base, policy, tools, signal);
  checkSealedPlan(policy, rendered.labels, [base.digest], subject);
  const inputs = sha256(canonicalJson({ rebase: sealed.entry.seal, dockerfile: rendered.dockerfile }));
  const known = await findRebased(inputs, base, tools, signal);
  const result =
    known ?? (await buildRebased(sealed, { base, rendered, inputs, policy, startedAt }, tools, signal));
  await provideGateway(result, await subjectOfSeal(result.entry, policy, tools), policy, tools, signal);
  tools.reporter.done();
  return {
    tag: result.entry.tag,
    seal: result.entry.seal,
    base: result.entry.base,
    from: { tag: sealed.entry.tag, seal: sealed.entry.seal },
    baseChanges: changes(baseFacts(sealed), baseFacts(result)),
    cached: known !== null,
  };
}

/** What a rebase of the same came out at before: in use again, and standing on the base that was verified now. */
async function findRebased(
  inputs: Digest,
  base: VerifiedBase,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<SealedImage | null> {
  const entry = await tools.store.findImageByInputs(inputs);
  const image = entry && (await tools.images.inspect(entry.tag, signal));
  if (!entry || !image) return null;
  checkSeal(image, entry);
  return checkSeal(image, await refresh(entry, { base: baseOf(base) }, tools));
}

/** Wheels are chosen for one Python, and its next version does not find what was compiled for it. */
function requireSamePython({ entry, labels }: SealedImage, { signedVersion }: VerifiedBase): void {
  if (labels.plan.language !== 'python' || labels.packages === null) return;
  const [from, to] = [labels.baseVersion, signedVersion].map(
    (one) => /^\d+\.\d+/.exec(one ?? '')?.[0] ?? 'unknown',
  );
  if (from === to) return;
  throw new SjsError(
    'SEAL_REFUSED',
    `the packages of ${entry.tag} are for Python ${from}, and the base has ${to}`,
    {
      next: 'build it again from its source over that base: its packages are chosen anew',
    },
  );
}

/** The Dockerfile and config that a build of the same over that base would have. */
async function render(
  sealed: SealedImage,
  base: VerifiedBase,
  policy: Policy,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<RenderedImage> {
  const { labels } = sealed;
  requireSamePython(sealed, base);
  const [{ template, seccompProfile }, sandbox] = await Promise.all([
    tools.assets(labels.plan.language ?? 'node'),
    readSandbox(sealed, policy, tools, signal),
  ]);
  const rendered = renderDockerfile(
    template,
    sandbox,
    base,
    labels.plan.resources,
    sha256(seccompProfile),
    labels.packages,
    sealed.entry.seal,
    labels.plan.call !== undefined,
  );
  const { seccompDigest: _new, ...rights } = rendered.labels.plan;
  const { seccompDigest: _old, ...sealedRights } = labels.plan;
  if (canonicalJson(rights) === canonicalJson(sealedRights)) return rendered;
  throw new SjsError(
    'SEAL_REFUSED',
    `this sjs would not give ${sealed.entry.tag} the rights that are sealed into it`,
    { next: 'build it again from its source: another sjs sealed it' },
  );
}

/** The sandbox that was sealed, as far as an image shows it: all but where its source lay. */
async function readSandbox(
  sealed: SealedImage,
  policy: Policy,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<Sandbox> {
  const text = formatSandbox(sealed, {
    source: '.',
    exclude: [],
    inputs: [],
    dependencies: null,
    // The program is the file that is sealed, whatever it was made of.
    stripped: [],
    baseEnv: await readBaseEnv(sealed, policy, tools, signal),
  });
  return (await parseSandbox(Buffer.from(text), sealed.entry.tag)).sandbox;
}

/** What the present base set: the program's own environment is what remains without it. */
async function readBaseEnv(
  { entry, image }: SealedImage,
  policy: Policy,
  { images, registry }: RebaseTools,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const { base } = entry;
  const isBelow = (diffIds: readonly Digest[]): boolean =>
    diffIds.length > 0 && diffIds.every((diffId, at) => image.diffIds[at] === diffId);
  const known = await images.inspect(`${base.image}@${base.manifestDigest}`, signal);
  if (known && isBelow(known.diffIds)) return known.config.Env ?? [];
  // Of an image from elsewhere its base could be said to be on any host that this machine reaches.
  trustRequirement(policy, base.image);
  const request = { image: formatRepository(parseRepository(base.image)), digest: base.manifestDigest };
  const found = await resolveBase(request, image.platform, registry, null, { update: true }, signal);
  if (isBelow(found.diffIds)) return found.config.Env ?? [];
  throw new SjsError('SEAL_MISMATCH', `${entry.tag} does not stand on ${base.image}@${base.manifestDigest}`, {
    next: 'build it again from its source',
  });
}

/** A rebase as it begins. */
interface Rebase {
  readonly base: VerifiedBase;
  readonly rendered: RenderedImage;
  /** Of the Dockerfile and the seal whose layers are taken: all that goes in but the base. */
  readonly inputs: Digest;
  readonly policy: Policy;
  readonly startedAt: string;
}

async function buildRebased(
  sealed: SealedImage,
  rebase: Rebase,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<SealedImage> {
  const { base, rendered, inputs } = rebase;
  const { images, reporter, registry } = tools;
  const environment: BuildEnvironment = {
    images,
    credentials: () => registry.credentials(base.repository.registry, signal),
    onProgress: (message) => reporter.debug(message),
    signal,
  };
  reporter.step('rebase', `${sealed.entry.tag} over ${formatRepository(base.repository)}@${base.digest}`);
  const baseImage = await fetchBase(base, environment);
  checkRootfs(base, await findingsOf(base, baseImage.imageId, tools, signal));
  const invocationId = tools.createId();
  const building = formatBuildingTag(await tools.owner(), invocationId);
  try {
    const image = await withOwnLayers(sealed, tools, signal, (layers) =>
      buildImage(
        { digest: inputs, open: () => repackLayers(rendered.dockerfile, layers) },
        building,
        environment,
      ),
    );
    const wanted = ownLayers(sealed);
    checkBuiltImage(image, base, rendered.expectedConfig, wanted.length);
    const made = filledLayers(image.diffIds.slice(base.diffIds.length));
    if (canonicalJson(made) !== canonicalJson(wanted)) {
      throw new SjsError(
        'SEAL_REFUSED',
        `over this base the layers of ${sealed.entry.tag} come out otherwise: ${made.join(', ')} instead of ${wanted.join(', ')}`,
        { next: 'build it from its source instead: the base has files where those of the sandbox lie' },
      );
    }
    const build = await describeRebase(sealed, rebase, invocationId, tools, signal);
    const { name, version } = sealed.entry;
    const origin = originFor(sealed.entry);
    const from = { rebasedFrom: sealed.entry.seal, ...(origin && { origin }) };
    const rebased = await enterSealed(image, { name, version, inputs, base, build }, from, tools);
    await images.tag(image.imageId, rebased.entry.tag, signal);
    return rebased;
  } finally {
    await images.remove(building).catch((error: unknown) => reporter.debug(String(error)));
  }
}

/** What provenance will say of a rebase. Of what others made, nobody here knows from which file or commit it came. */
async function describeRebase(
  { entry, labels }: SealedImage,
  { base, inputs, policy, startedAt }: Rebase,
  invocationId: string,
  tools: RebaseTools,
  signal?: AbortSignal,
): Promise<BuildFacts> {
  const own = entry.imported ? undefined : entry.build;
  return {
    invocationId,
    startedAt,
    finishedAt: timeOf(tools),
    sandboxDigest: own?.sandboxDigest ?? null,
    lockDigest: null,
    contextDigest: inputs,
    templateDigest: sha256((await tools.assets(labels.plan.language ?? 'node')).template),
    policyDigest: policy.digest,
    baseSigner: base.signature.signer,
    git: own?.git ?? null,
    versions: await readVersions(tools, signal),
  };
}
