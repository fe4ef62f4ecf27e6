import { dirname, relative, resolve } from 'node:path';
import { SjsError } from '../errors.js';
import type { Lock } from '../model/lock.js';
import { authorCommand, ownEnv } from '../model/format-sandbox.js';
import { OWN_FILES } from '../model/own-files.js';
import {
  DEFAULT_PERMISSIONS,
  DEFAULT_TMP_BYTES,
  DEFAULT_USER,
  runsNode,
  type LoadedSandbox,
} from '../model/sandbox.js';
import { LABELS, type SealedImage } from '../model/sealed-image.js';
import { changedEntries, changes, type Change } from '../stages/compare/changes.js';
import { compareRights, type RightChange } from '../stages/compare/compare-rights.js';
import { findSandboxes } from '../stages/load/find-sandboxes.js';
import type { SealedEntry, SealedSource } from '../stages/unpack/read-source.js';
import { withSource } from './clone-image.js';
import {
  describeDeclared,
  describeSource,
  type DeclaredSandbox,
  type DeclaredTools,
} from './describe-declared.js';
import { baseFacts } from './describe-plan.js';
import { findSealedImage, isSealedTarget, type TargetTools } from './find-target.js';
import { packagesOf } from './sealed-packages.js';

/** One side of a comparison: a sealed image, or the sandbox.yaml and sandbox.lock of a folder. */
export type DiffSide =
  | { readonly tag: string; readonly seal: string }
  | {
      readonly file: string;
      /** Whether `build --frozen` would refuse its lock: what it says of the base is then not what comes of it. */
      readonly isLockOutdated: boolean;
    };

/** How two sandboxes differ. */
export interface SandboxDiff<Side extends DiffSide = DiffSide> {
  readonly from: Side;
  readonly to: Side;
  /** The same seal; of files: they declare the same. */
  readonly isSame: boolean;
  /** Whether a right or limit is more than before. */
  readonly isWidened: boolean;
  readonly rights: readonly RightChange[];
  /** Image, version and digest; of files also what they ask for, and who signed it. */
  readonly base: readonly Change[];
  /** The npm packages that are laid in, by location. */
  readonly packages: readonly Change[];
  /** User, command and arguments. */
  readonly program: readonly Change[];
  readonly env: readonly Change[];
  /**
   * Files, links and folders of the source, `/in/x`, and `/.sjs/x` of sjs itself; what a file is, is its digest. Of two
   * folders they are not compared: git does.
   */
  readonly files: readonly Change[];
  /** Whatever else the seal covers: two seals always differ in something. */
  readonly image: readonly Change[];
}

/** How two sealed images differ. */
export type ImageDiff = SandboxDiff<{ readonly tag: string; readonly seal: string }>;

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

/** The sandboxes below two folders, those at the same place side by side; null where one folder has none. */
export async function pairSandboxes(
  from: string,
  to: string,
): Promise<readonly { readonly path: string; readonly from: string | null; readonly to: string | null }[]> {
  const find = async (folder: string): Promise<ReadonlyMap<string, string>> => {
    const files = await findSandboxes(folder).catch((error: unknown) => {
      if (error instanceof SjsError && error.code === 'FILE_NOT_FOUND') return [];
      throw error;
    });
    return new Map(files.map((file) => [relative(resolve(folder), dirname(file)) || '.', file]));
  };
  const [before, after] = await Promise.all([find(from), find(to)]);
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort()
    .map((path) => ({ path, from: before.get(path) ?? null, to: after.get(path) ?? null }));
}

/**
 * Compares what two sandbox.yaml and the locks beside them say, without engine or registry. One that is not there counts
 * as one that asks for nothing beyond the defaults.
 */
export async function diffFiles(
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

type Sections = Omit<SandboxDiff, 'from' | 'to' | 'isSame' | 'isWidened'>;

const isWidened = ({ rights }: Pick<Sections, 'rights'>): boolean => rights.some(({ widened }) => widened);

const finish = (from: DiffSide, to: DiffSide, found: Sections): SandboxDiff => ({
  from,
  to,
  isSame: Object.values(found).every((list: readonly unknown[]) => list.length === 0),
  isWidened: isWidened(found),
  ...found,
});

/** Compares two sealed images by what they may do and what is in them. Both seals are checked. */
export async function diffImages(
  from: string,
  to: string,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<ImageDiff> {
  const [a, b] = await Promise.all([from, to].map((target) => findSealedImage(target, tools, signal)));
  if (!a || !b) throw new Error('two targets have two images');
  const isSame = a.entry.seal === b.entry.seal;
  const describe = async (sealed: SealedImage): Promise<ReadonlyMap<string, unknown>> =>
    isSame ? new Map() : filesOf(sealed, tools, signal);
  const files = changes(await describe(a), await describe(b));
  const isSamePackages = a.labels.packages === b.labels.packages;
  const packages = async (sealed: SealedImage): Promise<Lock['packages']> =>
    isSamePackages ? {} : packagesOf(sealed, tools, signal);
  const base = changes(baseFacts(a), baseFacts(b));
  const withLayers = files.length === 0 && base.length === 0 && isSamePackages;
  const found = {
    rights: compareRights(a.labels.plan, b.labels.plan),
    base,
    packages: changedEntries(await packages(a), await packages(b)),
    program: changes(programOf(a), programOf(b)),
    env: changes(envOf(a), envOf(b)),
    files,
    image: changes(restOf(a, withLayers), restOf(b, withLayers)),
  };
  const isShown = Object.values(found).some(({ length }) => length > 0);
  return {
    from: { tag: a.entry.tag, seal: a.entry.seal },
    to: { tag: b.entry.tag, seal: b.entry.seal },
    isSame,
    isWidened: isWidened(found),
    ...found,
    ...(!isSame && !isShown && { image: changes(wholeOf(a), wholeOf(b)) }),
  };
}

const filesOf = (
  sealed: SealedImage,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, unknown>> =>
  withSource(sealed, tools, signal, (source) => Promise.resolve(new Map(describeFiles(source))));

const programOf = ({ image: { config } }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map<string, unknown>([
    ['user', config.User ?? null],
    ['command', authorCommand(config.Entrypoint ?? [])],
    ['args', config.Cmd ?? []],
  ]);

const envOf = ({ image: { config } }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map(
    (config.Env ?? []).map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  );

/** Labels that are compared as rights, as base and as packages. */
const SHOWN_LABELS: readonly string[] = [LABELS.plan, LABELS.baseDigest, LABELS.baseVersion, LABELS.packages];

/** What no other section has. Every difference of a file is one of its layer, which then says nothing more. */
function restOf({ image }: SealedImage, withLayers: boolean): ReadonlyMap<string, unknown> {
  const { User: _user, Cmd: _args, Env: _env, Entrypoint: entrypoint = [], Labels, ...config } = image.config;
  const end = entrypoint.indexOf('--');
  return new Map<string, unknown>([
    ...Object.entries(image.platform),
    ...Object.entries(config),
    ...Object.entries(Labels ?? {}).flatMap(([label, text]) =>
      SHOWN_LABELS.includes(label) ? [] : [[`label ${label}`, text] as const],
    ),
    ['options of node', runsNode(entrypoint) ? entrypoint.slice(1, end < 0 ? undefined : end) : []],
    ...(withLayers ? layersOf(image) : []),
  ]);
}

/** All that a seal is computed from. */
const wholeOf = ({ image }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map<string, unknown>([
    ...Object.entries(image.platform),
    ...Object.entries(image.config),
    ...layersOf(image),
  ]);

const layersOf = ({ diffIds }: SealedImage['image']): (readonly [string, string])[] =>
  diffIds.map((digest, at) => [`layer ${at + 1}`, digest] as const);

const describeFiles = ({ entries, inputs, own }: SealedSource): (readonly [string, string])[] => [
  ...entries.map(describeEntry),
  ...inputs.map((input) => describeEntry({ ...input, path: `/in/${input.path}` })),
  ...own.map((file) => describeEntry({ ...file, path: `/.sjs/${file.path}` })),
];

function describeEntry(entry: SealedEntry): readonly [string, string] {
  switch (entry.kind) {
    case 'folder':
      return [`${entry.path}/`, 'folder'];
    case 'symlink':
      return [entry.path, `link to ${entry.target}`];
    case 'file':
      return [entry.path, `${entry.digest}${entry.executable ? ' executable' : ''}`];
  }
}
