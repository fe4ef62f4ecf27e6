import { ownEnv } from '../model/format-sandbox.js';
import { OWN_FILES } from '../model/own-files.js';
import { isSealedTarget } from '../model/target-form.js';
import {
  DEFAULT_PERMISSIONS,
  DEFAULT_TMP_BYTES,
  DEFAULT_USER,
  type LoadedSandbox,
} from '../model/sandbox.js';
import { changedEntries, changes } from '../stages/compare/changes.js';
import { compareRights } from '../stages/compare/compare-rights.js';
import {
  describeDeclared,
  describeSource,
  type DeclaredSandbox,
  type DeclaredTools,
} from './describe-declared.js';
import { baseFacts } from './describe-plan.js';
import {
  diffImages,
  filesOf,
  isWidened,
  programOf,
  type DiffSide,
  type SandboxDiff,
  type Sections,
} from './diff-images.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { packagesOf } from './sealed-packages.js';

/** What comparing needs of the world. */
export interface DiffTools extends DeclaredTools {
  /** For the path of a sandbox.yaml, or of its folder. */
  readonly loadSandbox: (path: string) => Promise<LoadedSandbox>;
  /** The engine and the index: only what is sealed needs them. */
  readonly targetTools: () => Promise<TargetTools>;
}

/**
 * Compares two sandboxes, each a sealed image (tag, seal or name) or the path of a sandbox.yaml or its folder. Seals are
 * checked; what files say is what a build verifies, and nothing of it is verified here. Paths need no engine; null for one
 * that is not there.
 */
export async function diffTargets(
  from: string | null,
  to: string | null,
  tools: DiffTools,
  signal?: AbortSignal,
): Promise<SandboxDiff> {
  const isSealed = (target: string | null): target is string => target !== null && isSealedTarget(target);
  const load = async (path: string | null): Promise<LoadedSandbox | null> =>
    path === null ? null : tools.loadSandbox(path);
  if (isSealed(from) && isSealed(to)) return diffImages(from, to, await tools.targetTools(), signal);
  if (isSealed(from)) return diffMixed(from, await load(to), true, tools, signal);
  if (isSealed(to)) return diffMixed(to, await load(from), false, tools, signal);
  const [a, b] = await Promise.all([load(from), load(to)]);
  return diffFiles(a, b, tools);
}

/**
 * Compares what two sandbox.yaml and the locks beside them say, without engine or registry. One that is not there counts
 * as one that asks for nothing beyond the defaults.
 */
async function diffFiles(
  from: LoadedSandbox | null,
  to: LoadedSandbox | null,
  tools: DeclaredTools,
): Promise<SandboxDiff> {
  const there = to ?? from;
  if (!there) throw new Error('one of the two is there');
  const describe = async (loaded: LoadedSandbox | null): Promise<DeclaredSandbox> =>
    loaded ? describeDeclared(loaded, tools) : nothingDeclared(await describeDeclared(blank(there), tools));
  const [a, b] = await Promise.all([describe(from), describe(to)]);
  return finish(sideOf(a), sideOf(b), {
    rights: compareRights(a.plan, b.plan),
    base: changes(a.base, b.base),
    packages: changedEntries(a.packages, b.packages),
    program: changes(a.program, b.program),
    env: changedEntries(a.env, b.env),
    files: [],
    image: [],
  });
}

const sideOf = ({ file, isLockOutdated }: DeclaredSandbox): DiffSide => ({ file, isLockOutdated });

/** The sandbox that asks for nothing. */
const blank = (loaded: LoadedSandbox): LoadedSandbox => ({
  ...loaded,
  sandbox: {
    ...loaded.sandbox,
    env: {},
    args: [],
    secrets: [],
    permissions: DEFAULT_PERMISSIONS,
    user: DEFAULT_USER,
    filesystem: { tmpBytes: DEFAULT_TMP_BYTES, outBytes: null },
    network: { mode: 'none' },
    resources: {},
  },
});

const nothingDeclared = (declared: DeclaredSandbox): DeclaredSandbox => ({
  ...declared,
  base: new Map(),
  packages: {},
  program: new Map(),
  isLockOutdated: false,
});

async function diffMixed(
  target: string,
  loaded: LoadedSandbox | null,
  isSealedFirst: boolean,
  tools: DiffTools,
  signal?: AbortSignal,
): Promise<SandboxDiff> {
  if (!loaded) throw new Error('a sealed image is compared with something');
  const targets = await tools.targetTools();
  const [sealed, declared, source] = await Promise.all([
    findSealedImage(target, targets, signal),
    describeDeclared(loaded, tools),
    describeSource(loaded, tools),
  ]);
  const { image, manifestDigest } = sealed.entry.base;
  const baseImage = await targets.images.inspect(`${image}@${manifestDigest}`, signal).catch(() => null);
  const asked = ['image', 'version', 'digest'];
  const ofSealed = {
    plan: sealed.labels.plan,
    base: new Map<string, unknown>([...baseFacts(sealed), ['digest', sealed.entry.base.digest]]),
    packages: await packagesOf(sealed, targets, signal),
    program: programOf(sealed),
    env: ownEnv(sealed.image.config.Env ?? [], baseImage?.config.Env ?? []),
    // What sjs itself puts in follows from the rights.
    files: new Map(
      [...(await filesOf(sealed, targets, signal))].filter(([path]) => !OWN_FILES.includes(path)),
    ),
  };
  const ofFiles = {
    ...declared,
    base: new Map([...declared.base].filter(([what]) => asked.includes(what))),
    program: source.program,
    files: source.files,
  };
  const [a, b] = isSealedFirst ? [ofSealed, ofFiles] : [ofFiles, ofSealed];
  const sides: readonly [DiffSide, DiffSide] = [
    { tag: sealed.entry.tag, seal: sealed.entry.seal },
    sideOf(declared),
  ];
  const [from, to] = isSealedFirst ? sides : [sides[1], sides[0]];
  return finish(from, to, {
    rights: compareRights(a.plan, b.plan),
    base: changes(a.base, b.base),
    packages: changedEntries(a.packages, b.packages),
    program: changes(a.program, b.program),
    env: changedEntries(a.env, b.env),
    files: changes(a.files, b.files),
    image: [],
  });
}

const finish = (from: DiffSide, to: DiffSide, found: Sections): SandboxDiff => ({
  from,
  to,
  isSame: Object.values(found).every((list: readonly unknown[]) => list.length === 0),
  isWidened: isWidened(found),
  ...found,
});
