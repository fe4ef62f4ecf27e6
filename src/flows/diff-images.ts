import { splitCommand } from '../model/split-command.js';
import type { Lock } from '../model/lock.js';
import { LABELS, type SealedImage } from '../model/sealed-image.js';
import { changedEntries, changes, type Change } from '../stages/compare/changes.js';
import { compareRights, type RightChange } from '../stages/compare/compare-rights.js';
import type { SealedEntry, SealedSource } from '../stages/unpack/read-source.js';
import { withSource } from './clone-image.js';
import { baseFacts } from './describe-plan.js';
import { findSealedImage, type TargetTools } from './find-target.js';
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

/** What is compared, section by section. */
export type Sections = Omit<SandboxDiff, 'from' | 'to' | 'isSame' | 'isWidened'>;

/** Whether a right or limit is more than before. */
export const isWidened = ({ rights }: Pick<Sections, 'rights'>): boolean =>
  rights.some(({ widened }) => widened);

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

/** What is in a sealed image, by path, as {@link SandboxDiff.files} says it. */
export const filesOf = (
  sealed: SealedImage,
  tools: TargetTools,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, unknown>> =>
  withSource(sealed, tools, signal, (source) => Promise.resolve(new Map(describeFiles(source))));

/** User, command and arguments of a sealed image. */
export const programOf = ({ image: { config }, labels }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map<string, unknown>([
    ['user', config.User ?? null],
    ['command', splitCommand(config.Entrypoint ?? [], labels.plan.language).author],
    ['args', config.Cmd ?? []],
  ]);

const envOf = ({ image: { config } }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map(
    (config.Env ?? []).map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  );

/** Labels that are compared as rights, as base and as packages. */
const SHOWN_LABELS: readonly string[] = [LABELS.plan, LABELS.baseDigest, LABELS.baseVersion, LABELS.packages];

/** What no other section has. Every difference of a file is one of its layer, which then says nothing more. */
function restOf({ image, labels: { plan } }: SealedImage, withLayers: boolean): ReadonlyMap<string, unknown> {
  const { User: _user, Cmd: _args, Env: _env, Entrypoint: entrypoint = [], Labels, ...config } = image.config;
  return new Map<string, unknown>([
    ...Object.entries(image.platform),
    ...Object.entries(config),
    ...Object.entries(Labels ?? {}).flatMap(([label, text]) =>
      SHOWN_LABELS.includes(label) ? [] : [[`label ${label}`, text] as const],
    ),
    [`options of ${plan.language ?? 'node'}`, splitCommand(entrypoint, plan.language).options],
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
