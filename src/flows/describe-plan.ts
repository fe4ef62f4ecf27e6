import type { Lock } from '../model/lock.js';
import type { SealedPlan } from '../model/run-plan.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import type { UsedWaiver } from '../model/waiver.js';
import type { SealedImage, SealedLabels } from '../model/sealed-image.js';
import { changedEntries, changes, type Change } from '../stages/compare/changes.js';
import { compareRights, type RightChange } from '../stages/compare/compare-rights.js';
import type { LockChange } from '../stages/lock/lock-file.js';
import { baseOf } from './enter-sealed.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { packagesOf } from './sealed-packages.js';
import { prepareBuild, type LockOptions, type PreparedBuild, type PrepareTools } from './prepare-build.js';

/** What build and run would do. */
export interface BuildPlan {
  readonly file: string;
  readonly name: string;
  readonly version: string | null;
  readonly base: {
    readonly image: string;
    readonly version: string | null;
    readonly digest: string;
    readonly manifestDigest: string;
    readonly signer: string;
    readonly trustedBy: string;
  };
  readonly dockerfile: string;
  readonly user: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly rights: SealedPlan;
  readonly source: {
    readonly root: string;
    readonly entries: number;
    readonly bytes: number;
    readonly withheld: readonly string[];
  };
  /** What is laid in of a lockfile; null without one. */
  readonly dependencies: {
    /** Relative to the sandbox.yaml. */
    readonly lockfile: string;
    readonly packages: number;
    /** Packages of the lockfile that stay out: other platforms', and what `omit` says. */
    readonly omitted: number;
    /** Digest of their list, as the image's label has it. */
    readonly digest: string;
  } | null;
  readonly inputs: string;
  readonly lock: Lock;
  readonly lockChanges: readonly LockChange[];
  /** Tag of the sealed image the rights are compared with; null when there is none. */
  readonly comparedWith: string | null;
  readonly rightChanges: readonly RightChange[];
  /** Rules of the policy that are waived for it. */
  readonly waivers: readonly UsedWaiver[];
  /** Image, version and digest of the base, against the same sealed image. */
  readonly baseChanges: readonly Change[];
  /** By location, against the same sealed image. */
  readonly packageChanges: readonly Change[];
}

/** Prepares a build, builds nothing and writes nothing, and says what would be done. */
export async function describePlan(
  loaded: LoadedSandbox,
  options: LockOptions,
  tools: PrepareTools & TargetTools,
  signal?: AbortSignal,
): Promise<BuildPlan> {
  const [prepared, previous] = await Promise.all([
    prepareBuild(loaded, options, tools, signal),
    findPrevious(loaded.sandbox.name, tools, signal),
  ]);
  const { base, rendered, tree } = prepared;
  const config = rendered.expectedConfig;
  const next = { entry: { base: baseOf(base) }, labels: rendered.labels };
  const isSamePackages = previous?.labels.packages === rendered.labels.packages;
  // The list is in a layer, and an engine takes its time to hand one over.
  const packages =
    previous && !isSamePackages ? await packagesOf(previous, tools, signal) : prepared.lock.packages;
  return {
    file: loaded.file,
    name: loaded.sandbox.name,
    version: loaded.sandbox.version,
    base: {
      image: prepared.lock.base.image,
      version: base.signedVersion,
      digest: base.digest,
      manifestDigest: base.manifestDigest,
      signer: base.signature.signer,
      trustedBy: base.signature.rule,
    },
    dockerfile: rendered.dockerfile,
    user: config.User ?? '',
    command: config.Entrypoint ?? [],
    args: config.Cmd ?? [],
    env: config.Env ?? [],
    rights: rendered.labels.plan,
    source: {
      root: tree.root,
      entries: tree.entries.length,
      bytes: tree.totalBytes,
      withheld: tree.withheld,
    },
    dependencies: describeDependencies(prepared),
    inputs: prepared.inputs,
    lock: prepared.lock,
    lockChanges: prepared.lockChanges,
    comparedWith: previous?.entry.tag ?? null,
    rightChanges: previous ? compareRights(previous.labels.plan, rendered.labels.plan) : [],
    baseChanges: previous ? changes(baseFacts(previous), baseFacts(next)) : [],
    packageChanges: changedEntries(packages, previous ? prepared.lock.packages : packages),
    waivers: prepared.waivers,
  };
}

function describeDependencies({ loaded, packages, rendered }: PreparedBuild): BuildPlan['dependencies'] {
  const { dependencies } = loaded.sandbox;
  const digest = rendered.labels.packages;
  if (dependencies === null || packages === null || digest === null) return null;
  const { omitted } = packages;
  return { lockfile: dependencies.lockfile, packages: packages.packages.length, omitted, digest };
}

/** What is compared of a base, wherever it is known from. */
export const baseFacts = ({
  entry: { base },
  labels,
}: {
  readonly entry: Pick<SealedImage['entry'], 'base'>;
  readonly labels: Pick<SealedLabels, 'baseVersion' | 'baseDigest'>;
}): ReadonlyMap<string, unknown> =>
  new Map([
    ['image', base.image],
    ['version', labels.baseVersion],
    ['digest', labels.baseDigest],
  ]);

/** The newest seal of that name built here; null where there is none: nothing to compare with is no failure of a plan. */
async function findPrevious(
  name: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<SealedImage | null> {
  return findSealedImage(name, tools, signal).catch(() => null);
}
