import type { VerifiedBase } from '../model/base.js';
import { BASE_TITLES, baseNameOf } from '../model/base-name.js';
import { callRunner, type Language } from '../model/language.js';
import type { Lock } from '../model/lock.js';
import type { Policy, PolicyFloors } from '../model/policy.js';
import { canonicalJson } from '../model/canonical-json.js';
import {
  DETERMINISM_CONFIG,
  DETERMINISM_PRELOAD,
  MODULES_CONFIG,
  MODULES_PRELOAD,
  PYTHON_START,
  SECRETS_PRELOAD,
} from '../model/own-files.js';
import { formatRepository, type DigestReference } from '../model/reference.js';
import type { BaseRequest, LoadedSandbox, Resources } from '../model/sandbox.js';
import { showPlace } from '../model/show-place.js';
import { describeUsedWaiver, type Subject, type UsedWaiver } from '../model/waiver.js';
import { SOURCE_LIMITS, type SourceTree } from '../model/source-tree.js';
import { digestOfPackages, formatLockLines } from '../model/package-list.js';
import { isDigest, sha256, type Digest } from '../model/digest.js';
import type { Clock } from '../ports/clock.js';
import type { ImageStore } from '../ports/image-store.js';
import type { Memory } from '../ports/memory.js';
import type { Registry } from '../ports/registry.js';
import type { SignatureVerifier } from '../ports/signature-verifier.js';
import { SjsError } from '../errors.js';
import { collectInputs, collectSource } from '../stages/collect/collect-source.js';
import { missingEntrypoint } from '../stages/collect/missing-entrypoint.js';
import { compareLocks, createLock, lockPath, readLock, type LockChange } from '../stages/lock/lock-file.js';
import { inputsDigest } from '../stages/build/build-image.js';
import { packContext, type PackedContext } from '../stages/pack/pack-context.js';
import { checkFloors } from '../stages/policy/check-floors.js';
import { checkSandbox, subjectOf } from '../stages/policy/check-sandbox.js';
import { eachOnce } from '../stages/policy/find-waiver.js';
import {
  defaultBase,
  defaultBaseKey,
  refuseDenied,
  sourceBound,
  type SourceBound,
} from '../stages/policy/effective-policy.js';
import { trustRequirement } from '../stages/policy/trust-requirement.js';
import { renderDockerfile, type RenderedImage } from '../stages/render/render-dockerfile.js';
import { findLocked, parseRepository, resolveBase } from '../stages/resolve/resolve-base.js';
import { askOnce, beginVerifying, verifyBase } from '../stages/verify/verify-base.js';
import { effectiveResources } from './validate-sandbox.js';
import { locatePackages, type PackageTools, type PickedPackages } from './provide-packages.js';
import { stripProgram } from './strip-program.js';

/** Files that ship with sjs and become part of what is sealed. */
export interface BuildAssets {
  readonly template: string;
  readonly seccompProfile: string;
  readonly secretsPreload: Uint8Array;
  readonly callRunner: Uint8Array;
  readonly determinismPreload: Uint8Array;
  readonly modulesPreload: Uint8Array;
  /** For Python alone. */
  readonly pythonStart?: Uint8Array;
}

/** What preparing a build needs of the world. */
export interface PrepareTools extends PackageTools {
  readonly registry: Registry;
  readonly verifier: SignatureVerifier;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly assets: (language: Language) => Promise<BuildAssets>;
  /** The policy in force for a folder. */
  readonly loadPolicy: (directory: string) => Promise<Policy>;
  /** Folders a source may not contain, or be. */
  readonly forbiddenSources: { readonly containing: readonly string[]; readonly being: readonly string[] };
  /** The digest that a request meant last, for code that has no lock. */
  readonly lastBases: Memory;
  /** What TypeScript files became, by their digest. */
  readonly stripped: Memory;
}

/** How the lock is treated. */
export interface LockOptions {
  /** Refuse when the lock would change. */
  readonly frozen: boolean;
  /** Resolve anew instead of using the lock. */
  readonly update: boolean;
}

/** Everything about a build that is decided before the engine builds. */
export interface PreparedBuild {
  readonly loaded: LoadedSandbox;
  readonly policy: Policy;
  readonly base: VerifiedBase;
  readonly resources: Resources;
  readonly tree: SourceTree;
  readonly rendered: RenderedImage;
  readonly context: PackedContext;
  /** What is laid in of a lockfile; null without one. */
  readonly packages: PickedPackages | null;
  readonly inputs: Digest;
  readonly lock: Lock;
  readonly lockChanges: readonly LockChange[];
  /** Rules of the policy that were waived for it. */
  readonly waivers: readonly UsedWaiver[];
}

/** Packages are counted where they are many: `sjs plan` names each. */
function nameFields(changes: readonly LockChange[]): string {
  const fields = changes.map(({ field }) => field);
  const packages = fields.filter((field) => field.startsWith('packages.'));
  if (packages.length <= 3) return fields.join(', ');
  const rest = fields.filter((field) => !field.startsWith('packages.'));
  return [...rest, `${packages.length} packages`].join(', ');
}

/**
 * Load, policy, resolve, verify, collect, render, pack: all but the build itself. What does not depend on each other
 * runs at once.
 */
export async function prepareBuild(
  loaded: LoadedSandbox,
  options: LockOptions,
  tools: PrepareTools,
  signal?: AbortSignal,
): Promise<PreparedBuild> {
  const { directory } = loaded;
  const locking = loaded.isAdHoc ? Promise.resolve(null) : readLock(directory);
  const asking = tools.images.platform(signal);
  for (const pending of [locking, asking]) pending.catch(() => undefined);
  const policy = await tools.loadPolicy(directory);
  const resources = effectiveResources(loaded, policy);
  const now = tools.clock.now();
  const subject = subjectOf(loaded, now);
  const waived = [...checkSandbox(policy, loaded, resources, now)];
  const request = baseRequestOf(loaded, policy);
  // Before anything is asked of it: a hostile sandbox.yaml could name any host that this machine reaches.
  const repository = formatRepository(parseRepository(request.image));
  const rules = trustRequirement(policy, repository);
  const lock = await locking;
  const verifier = askOnce(tools.verifier);
  const expected = options.update ? null : await expectBase(request, lock, loaded, tools);
  if (expected) beginVerifying(expected, rules, verifier, tools.clock, signal);
  const assets = tools.assets(loaded.sandbox.language);
  assets.catch(() => undefined);
  const platform = await asking;
  const bound = sourceBound(policy, subject, SOURCE_LIMITS.defaultBytes);
  const maxBytes = bound.bytes;
  // The source is walked while registry and cosign answer; an early failure there must not leave this one unheard.
  const collecting = collectSource(loaded, { maxBytes, forbidden: tools.forbiddenSources });
  const collectingInputs = collectInputs(loaded, maxBytes);
  const locating = locatePackages(loaded, tools);
  for (const pending of [collecting, collectingInputs, locating]) pending.catch(() => undefined);

  tools.reporter.step(
    'resolve',
    `${request.image} ${'version' in request ? request.version : request.digest}`,
  );
  const resolved = await resolveBase(request, platform, tools.registry, lock, options, signal);
  waived.push(...refuseDenied(policy, resolved, subject));
  tools.reporter.step(
    'verify',
    `${repository}@${resolved.digest}${resolved.version === null ? '' : ` (${resolved.version})`}`,
  );
  const base = await verifyBase(resolved, rules, verifier, tools.clock, signal);
  if (loaded.isAdHoc && expected?.digest !== base.digest) {
    await tools.lastBases.set(sha256(canonicalJson(request)), base.digest);
  }

  waived.push(...(await requireVersions(policy, subject, tools, signal)));

  const packages = (await (await locating)?.pick(base, signal)) ?? null;
  const { template, seccompProfile, pythonStart, ...guest } = await assets;
  const lines = packages === null ? {} : formatLockLines(packages.packages);
  const newLock = createLock(base, { name: loaded.sandbox.language, digest: sha256(template) }, lines, lock);
  const lockChanges = loaded.isAdHoc ? [] : compareLocks(lock, newLock);
  if (options.frozen && lockChanges.length > 0) {
    throw new SjsError(
      'LOCK_OUTDATED',
      `${lockPath(directory)} does not fit: ${nameFields(lockChanges)} would change`,
      {
        location: { file: lockPath(directory) },
        next: 'run sjs lock, review the change and commit it',
      },
    );
  }
  const { tree, sandbox, files } = await stripProgram(
    await collecting.catch(withBound(bound, loaded)),
    loaded.sandbox,
    tools,
  );
  const inputs = await collectingInputs.catch(withBound(bound, loaded));
  const largest = Math.max(tree.totalBytes, ...inputs.map(({ totalBytes }) => totalBytes));
  if (bound.waiver && largest > bound.waiver.aboveBytes) waived.push(bound.waiver.used);
  const waivers = eachOnce(waived);
  for (const waiver of waivers) tools.reporter.warn(describeUsedWaiver(waiver));
  const count = tree.entries.length;
  tools.reporter.step('pack', `${count} ${count === 1 ? 'entry' : 'entries'} from ${tree.root}`);
  if (tree.withheld.length > 0) {
    tools.reporter.warn(
      `left out because they look like secrets: ${tree.withheld.join(', ')} (name one with !path in .sjsignore to include it)`,
    );
  }
  const missing = missingEntrypoint(sandbox, tree);
  if (missing !== null) {
    tools.reporter.warn(`the program ${missing} is not in the source ${tree.root}: a run will not find it`);
  }
  const packageList = packages && digestOfPackages(packages.packages);
  const rendered = renderDockerfile(template, sandbox, base, resources, sha256(seccompProfile), packageList);
  const context = await packContext({
    dockerfile: rendered.dockerfile,
    tree,
    inputs,
    files: {
      ...files,
      ...(rendered.needsSecretsPreload && { [SECRETS_PRELOAD]: guest.secretsPreload }),
      ...(rendered.needsCallRunner && { [callRunner(sandbox.language)]: guest.callRunner }),
      ...(pythonStart && { [PYTHON_START]: pythonStart }),
      ...(sandbox.determinism && {
        [DETERMINISM_PRELOAD]: guest.determinismPreload,
        [DETERMINISM_CONFIG]: Buffer.from(`${canonicalJson(sandbox.determinism)}\n`),
      }),
      ...(sandbox.modules && {
        [MODULES_PRELOAD]: guest.modulesPreload,
        [MODULES_CONFIG]: Buffer.from(`${canonicalJson(sandbox.modules)}\n`),
      }),
    },
    folders: rendered.needsOut ? ['/out'] : [],
  });
  return {
    loaded,
    policy,
    base,
    resources,
    tree,
    rendered,
    context,
    packages,
    inputs: inputsDigest(base, context, packageList),
    lock: newLock,
    lockChanges,
    waivers,
  };
}

/** Whether the versions that build and verify are above the policy's floors; they are asked for where it has any. */
export async function requireVersions(
  policy: Policy,
  subject: Subject,
  { images, verifier }: Pick<PrepareTools, 'images' | 'verifier'>,
  signal?: AbortSignal,
): Promise<readonly UsedWaiver[]> {
  const has = (component: keyof PolicyFloors): boolean =>
    policy.layers.some(({ floors }) => floors[component] !== undefined);
  const [engine, cosign] = await Promise.all([
    has('engine') || has('runc') ? images.versions(signal) : {},
    has('cosign') ? verifier.version(signal).then((version) => ({ cosign: version })) : {},
  ]);
  return checkFloors(policy, { ...engine, ...cosign }, subject);
}

/** What a source is larger than is a line of the policy, where one says so. */
const withBound =
  ({ policy }: SourceBound, loaded: LoadedSandbox) =>
  (error: unknown): never => {
    if (!(error instanceof SjsError) || error.code !== 'SOURCE_TOO_LARGE' || policy === null) throw error;
    const message = `${error.message} (${showPlace(policy)})`;
    const location = { file: loaded.file, ...loaded.locate('spec.source'), path: 'spec.source' };
    throw new SjsError(error.code, message, {
      problems: [{ message, ...(!loaded.isAdHoc && { location }), policy }],
      ...(error.next !== undefined && { next: error.next }),
    });
  };

/** The base that a request will probably mean: cosign can begin with it. What it does mean is resolved all the same. */
async function expectBase(
  request: BaseRequest,
  lock: Lock | null,
  { isAdHoc }: LoadedSandbox,
  { lastBases }: PrepareTools,
): Promise<DigestReference | null> {
  if (!isAdHoc) return findLocked(request, lock);
  const last = await lastBases.get(sha256(canonicalJson(request)));
  return isDigest(last) ? { ...parseRepository(request.image), digest: last } : null;
}

function baseRequestOf(loaded: LoadedSandbox, policy: Policy): BaseRequest {
  const name = baseNameOf(loaded.sandbox);
  const request = loaded.sandbox.base ?? defaultBase(policy, name);
  if (request) return request;
  const key = defaultBaseKey(name);
  const [whose, target] =
    name === 'node' ? ['', '<target>'] : [` for ${BASE_TITLES[name]}`, `<registry>/${name}`];
  throw new SjsError('BASE_NOT_PINNED', `${loaded.file} names no base${whose}, and no policy has ${key}`, {
    location: { file: loaded.file, ...loaded.locate('spec'), path: 'spec.base' },
    next: `mirror and sign one with sjs base import <ref> ${target} --sign-key … --trust, or state spec.base`,
  });
}
