import { flattenLeaves } from '../model/flatten.js';
import type { Lock } from '../model/lock.js';
import { formatEgress, formatPort } from '../model/network.js';
import type { SealedPlan } from '../model/run-plan.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import type { LockChange } from '../stages/lock/lock-file.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import { findEntry, type TargetTools } from './find-target.js';
import { prepareBuild, type LockOptions, type PreparedBuild, type PrepareTools } from './prepare-build.js';

/** One right or limit that differs from the newest sealed image of the same name. */
export interface RightChange {
  /** Dotted path in the sealed plan: `resources.memoryBytes`. */
  readonly right: string;
  readonly from: unknown;
  readonly to: unknown;
  /** More than before: what a reviewer has to look at. */
  readonly widened: boolean;
}

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
    comparedWith: previous?.tag ?? null,
    rightChanges: previous ? compareRights(previous.plan, rendered.labels.plan) : [],
  };
}

function describeDependencies({ loaded, packages, rendered }: PreparedBuild): BuildPlan['dependencies'] {
  const { dependencies } = loaded.sandbox;
  const digest = rendered.labels.packages;
  if (dependencies === null || packages === null || digest === null) return null;
  const { omitted } = packages;
  return { lockfile: dependencies.lockfile, packages: packages.packages.length, omitted, digest };
}

async function findPrevious(
  name: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<{ tag: string; plan: SealedPlan } | null> {
  try {
    const entry = await findEntry(name, tools, signal);
    const { labels } = checkSeal(await tools.images.inspect(entry.tag, signal), entry);
    return { tag: entry.tag, plan: labels.plan };
  } catch {
    // Nothing to compare with is no failure of a plan.
    return null;
  }
}

/** The differences between two sealed plans, leaf by leaf. */
export function compareRights(before: SealedPlan, after: SealedPlan): readonly RightChange[] {
  const [from, to] = [flattenLeaves(inWords(before)), flattenLeaves(inWords(after))];
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((right) => JSON.stringify(from.get(right)) !== JSON.stringify(to.get(right)))
    .map((right) => ({
      right,
      from: from.get(right) ?? null,
      to: to.get(right) ?? null,
      widened: isWider(from.get(right), to.get(right)),
    }));
}

/** Declared traffic as it is written: lists of texts can be compared. */
function inWords(plan: SealedPlan): object {
  const { network } = plan;
  if (network.mode === 'none') return plan;
  const [ports, egress] = [network.ports.map(formatPort), network.egress.map(formatEgress)];
  return { ...plan, network: { mode: network.mode, ports, egress } };
}

function isWider(from: unknown, to: unknown): boolean {
  if (typeof to === 'number') return typeof from !== 'number' || to > from;
  if (typeof to === 'boolean') return to;
  if (Array.isArray(to)) return to.some((item) => !Array.isArray(from) || !from.includes(item));
  return to !== null && to !== undefined && to !== 'none';
}
