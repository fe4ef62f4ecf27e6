import { isFindings, type RootfsFindings, type VerifiedBase } from '../model/base.js';
import type { BuildFacts } from '../model/build-facts.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { sha256 } from '../model/digest.js';
import { formatRepository } from '../model/reference.js';
import { needsGateway } from '../model/network.js';
import { needsGatewayImage } from '../model/run-plan.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { computeSeal, type IndexEntry } from '../model/sealed-image.js';
import type { UsedWaiver } from '../model/waiver.js';
import type { Owner } from '../ports/engine.js';
import type { Memory } from '../ports/memory.js';
import type { RecordStore } from '../ports/record-store.js';
import { buildImage, fetchBase, type BuildEnvironment } from '../stages/build/build-image.js';
import { readGit } from '../stages/collect/read-git.js';
import { formatLock, writeLock, type LockChange } from '../stages/lock/lock-file.js';
import { subjectOf } from '../stages/policy/check-sandbox.js';
import { checkBuiltImage, checkRootfs } from '../stages/seal/check-built-image.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { baseOf, enterSealed, refresh } from './enter-sealed.js';
import { gatewaySandbox, type GatewaySource } from './gateway-sandbox.js';
import { prepareBuild, type LockOptions, type PreparedBuild, type PrepareTools } from './prepare-build.js';
import { provideBeside, touchPackages, withPackages } from './provide-packages.js';

/** What a build needs of the world. */
export interface BuildTools extends PrepareTools {
  readonly store: RecordStore;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
  readonly gatewaySource: () => Promise<GatewaySource>;
  /** What was found in the file systems of bases, by manifest. */
  readonly rootfs: Memory;
  /** Fulfilled when nothing of dead builds is being removed any more; absent where nothing is. */
  readonly recovered?: Promise<unknown>;
  /** Layers of packages that were laid before. */
  readonly layers: Memory;
  readonly sjsVersion: string;
}

/** What a build made, or found made. */
export interface BuildResult {
  readonly tag: string;
  readonly seal: string;
  /** Digest over everything that went in. */
  readonly inputs: string;
  readonly imageId: string;
  readonly base: {
    readonly image: string;
    readonly version: string | null;
    /** The digest that is signed: what `cosign verify` by hand takes. */
    readonly digest: string;
    readonly manifestDigest: string;
    readonly signer: string;
  };
  /** True when the same inputs were sealed before and nothing was built. */
  readonly cached: boolean;
  readonly name: string;
  readonly version: string | null;
  readonly sandboxDigest: string;
  readonly lockChanged: boolean;
  /** Files that look like secrets and stayed out. */
  readonly withheld: readonly string[];
  /** Rules of the policy that were waived for it. */
  readonly waivers: readonly UsedWaiver[];
}

/**
 * The pipeline up to the seal (SPEC §5). The index entry comes first, the lock second, the tag last: whatever is cut
 * short in between is built again, and never half sealed. Until then the image has a tag that says who is at work. The
 * gateway of declared traffic is built before, from its own lock: a run builds nothing.
 */
export async function buildSandbox(
  loaded: LoadedSandbox,
  options: LockOptions,
  tools: BuildTools,
  signal?: AbortSignal,
): Promise<BuildResult> {
  const startedAt = timeOf(tools);
  const prepared = await prepareBuild(loaded, options, tools, signal);
  const { network } = loaded.sandbox;
  if (needsGatewayImage(loaded.sandbox)) {
    const serves = subjectOf(loaded, tools.clock.now());
    const gateway = gatewaySandbox(
      await tools.gatewaySource(),
      prepared.policy,
      serves,
      needsGateway(network),
    );
    await buildSandbox(gateway, { frozen: false, update: options.update }, tools, signal);
  }
  const known = await findSealed(prepared, tools, signal);
  const invocationId = tools.createId();
  const building = formatBuildingTag(await tools.owner(), invocationId);
  let entry: IndexEntry;
  try {
    entry = known ?? (await buildAndSeal(prepared, { building, invocationId, startedAt }, tools, signal));
    if (prepared.lockChanges.length > 0) {
      await writeLock(loaded.directory, prepared.lock);
      tools.reporter.step('lock', describeChanges(prepared.lockChanges));
    }
    if (!known) await tools.images.tag(entry.imageId, entry.tag, signal);
  } finally {
    if (!known)
      await tools.images.remove(building).catch((error: unknown) => tools.reporter.debug(String(error)));
  }
  if (known) await renew(known, prepared, tools);
  tools.reporter.done();
  return {
    tag: entry.tag,
    seal: entry.seal,
    inputs: entry.inputs,
    imageId: entry.imageId,
    base: { ...baseOf(prepared.base), signer: prepared.base.signature.signer },
    cached: known !== null,
    name: entry.name,
    version: entry.version,
    sandboxDigest: loaded.digest,
    lockChanged: prepared.lockChanges.length > 0,
    withheld: prepared.tree.withheld,
    waivers: prepared.waivers,
  };
}

const describeChanges = (changes: readonly LockChange[]): string =>
  changes.every(({ from }) => from === null)
    ? 'sandbox.lock is new: commit it'
    : `sandbox.lock changed: ${changes.map(({ field }) => field).join(', ')}; review and commit it`;

/** A build that changes nothing: its image and its packages are in use. */
export async function renew(
  known: IndexEntry,
  { loaded, base, packages }: Pick<PreparedBuild, 'loaded' | 'base' | 'packages'>,
  tools: Pick<BuildTools, 'store' | 'clock'>,
): Promise<void> {
  await refresh(known, { ...originOf(loaded), base: baseOf(base) }, tools);
  if (packages) await touchPackages(packages);
}

/** What prune and waivers have to know of where a seal came from. */
const originOf = (loaded: LoadedSandbox): Pick<IndexEntry, 'lockedIn' | 'isAdHoc'> =>
  loaded.isAdHoc ? { isAdHoc: true } : { lockedIn: loaded.folder ?? loaded.directory };

/** The entry of an earlier build of the same inputs, if the engine still has its image unchanged under its tag. */
async function findSealed(
  { inputs }: PreparedBuild,
  tools: BuildTools,
  signal?: AbortSignal,
): Promise<IndexEntry | null> {
  const entry = await tools.store.findImageByInputs(inputs);
  if (!entry) return null;
  const image = await tools.images.inspect(entry.tag, signal);
  if (!image || computeSeal(image) !== entry.seal) return null;
  return checkSeal(image, entry).entry;
}

/** One build as it begins. */
interface Invocation extends Pick<BuildFacts, 'invocationId' | 'startedAt'> {
  /** The tag that its image has until it is sealed. */
  readonly building: string;
}

async function buildAndSeal(
  prepared: PreparedBuild,
  invocation: Invocation,
  tools: BuildTools,
  signal?: AbortSignal,
): Promise<IndexEntry> {
  const { base, loaded, rendered, context, inputs } = prepared;
  const environment: BuildEnvironment = {
    images: tools.images,
    credentials: () => tools.registry.credentials(base.repository.registry, signal),
    onProgress: (message) => tools.reporter.debug(message),
    signal,
  };
  tools.reporter.step(
    'build',
    `${loaded.sandbox.name} over ${formatRepository(base.repository)}@${base.manifestDigest}`,
  );
  const checking = checkBase(base, environment, tools, signal);
  const parts = prepared.packages
    ? withPackages(context, await provideBeside(checking, prepared.packages, tools, signal))
    : context;
  await checking;
  // What a dead build left may be the same image: removed while this one is made, it would take it along.
  await tools.recovered;
  const image = await buildImage(parts, invocation.building, environment);
  checkBuiltImage(image, base, rendered.expectedConfig, prepared.packages ? 2 : 1);
  const build = await describeBuild(prepared, invocation, tools, signal);
  const made = { ...loaded.sandbox, inputs, base, build };
  return (await enterSealed(image, made, originOf(loaded), tools)).entry;
}

/** Has the engine hold the base, and refuses one whose file system a sandbox cannot stand on. */
async function checkBase(
  base: VerifiedBase,
  environment: BuildEnvironment,
  tools: BuildTools,
  signal?: AbortSignal,
): Promise<void> {
  const { imageId } = await fetchBase(base, environment);
  checkRootfs(base, await findingsOf(base, imageId, tools, signal));
}

/** Now, as records and entries write it. */
export const timeOf = ({ clock }: Pick<BuildTools, 'clock'>): string => new Date(clock.now()).toISOString();

/** What provenance will say of this build, whenever somebody asks for it. */
async function describeBuild(
  { loaded, base, context, lock, policy }: PreparedBuild,
  { invocationId, startedAt }: Invocation,
  tools: BuildTools,
  signal?: AbortSignal,
): Promise<BuildFacts> {
  const isFile = !loaded.isAdHoc;
  const [versions, git] = await Promise.all([
    readVersions(tools, signal),
    isFile ? readGit(loaded.directory) : null,
  ]);
  return {
    invocationId,
    startedAt,
    finishedAt: timeOf(tools),
    sandboxDigest: isFile ? loaded.digest : null,
    lockDigest: isFile ? sha256(formatLock(lock)) : null,
    contextDigest: context.digest,
    templateDigest: lock.template.digest,
    policyDigest: policy.digest,
    baseSigner: base.signature.signer,
    git,
    versions,
  };
}

/** What builds and verifies here. */
export async function readVersions(
  { images, verifier, sjsVersion }: Pick<BuildTools, 'images' | 'verifier' | 'sjsVersion'>,
  signal?: AbortSignal,
): Promise<BuildFacts['versions']> {
  const [{ engine }, cosign] = await Promise.all([images.versions(signal), verifier.version(signal)]);
  return { sjs: sjsVersion, engine: engine ?? 'unknown', cosign };
}

/** A base's file system is looked through once: its digest names the same bytes for ever. */
export async function findingsOf(
  base: VerifiedBase,
  imageId: string,
  tools: Pick<BuildTools, 'images' | 'owner' | 'reporter' | 'rootfs'>,
  signal?: AbortSignal,
): Promise<RootfsFindings> {
  const known = await tools.rootfs.get(base.manifestDigest);
  if (isFindings(known)) return known;
  tools.reporter.step('inspect', 'the file system of the base, once');
  const findings = await tools.images.scanRootfs(imageId, await tools.owner(), signal);
  await tools.rootfs.set(base.manifestDigest, findings);
  return findings;
}
