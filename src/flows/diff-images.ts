import { canonicalJson } from '../model/canonical-json.js';
import { authorCommand } from '../model/format-sandbox.js';
import { runsNode } from '../model/sandbox.js';
import { LABELS, type SealedImage } from '../model/sealed-image.js';
import type { SealedEntry, SealedSource } from '../stages/unpack/read-source.js';
import { withSource } from './clone-image.js';
import { compareRights, type RightChange } from './describe-plan.js';
import { formatLockLines } from '../model/package-list.js';
import { sealedPackages } from './sealed-packages.js';
import { findSealedImage, type TargetTools } from './find-target.js';

/** Something that two sealed images have otherwise; null where one does not have it. */
export interface Change {
  readonly what: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** How two sealed images differ. */
export interface ImageDiff {
  readonly from: { readonly tag: string; readonly seal: string };
  readonly to: { readonly tag: string; readonly seal: string };
  readonly isSame: boolean;
  readonly rights: readonly RightChange[];
  readonly base: readonly Change[];
  /** User, command and arguments. */
  readonly program: readonly Change[];
  readonly env: readonly Change[];
  /** npm packages by location, as sandbox.lock writes them. */
  readonly packages: readonly Change[];
  /** Files, links and folders of the source, `/in/x`, and `/.sjs/x` of sjs itself; what a file is, is its digest. */
  readonly files: readonly Change[];
  /** Whatever else the seal covers: two seals always differ in something. */
  readonly image: readonly Change[];
}

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
    isSame
      ? new Map()
      : withSource(sealed, tools, signal, (source) => Promise.resolve(new Map(describeFiles(source))));
  const files = changes(await describe(a), await describe(b));
  const base = changes(baseOf(a), baseOf(b));
  const packagesOf = async (sealed: SealedImage): Promise<ReadonlyMap<string, unknown>> =>
    new Map(Object.entries(formatLockLines(await sealedPackages(sealed, tools, signal))));
  // Equal lists need no reading.
  const packages =
    a.labels.packages === b.labels.packages ? [] : changes(await packagesOf(a), await packagesOf(b));
  const withLayers = files.length === 0 && base.length === 0 && packages.length === 0;
  const found = {
    rights: compareRights(a.labels.plan, b.labels.plan),
    base,
    program: changes(programOf(a), programOf(b)),
    env: changes(envOf(a), envOf(b)),
    packages,
    files,
    image: changes(restOf(a, withLayers), restOf(b, withLayers)),
  };
  const isShown = Object.values(found).some(({ length }) => length > 0);
  return {
    from: { tag: a.entry.tag, seal: a.entry.seal },
    to: { tag: b.entry.tag, seal: b.entry.seal },
    isSame,
    ...found,
    ...(!isSame && !isShown && { image: changes(wholeOf(a), wholeOf(b)) }),
  };
}

const baseOf = ({ entry, labels }: SealedImage): ReadonlyMap<string, unknown> =>
  new Map([
    ['image', entry.base.image],
    ['version', labels.baseVersion],
    ['digest', labels.baseDigest],
  ]);

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

/** Labels that are compared as rights, as base and by the tag. */
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

function changes(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): readonly Change[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((what) => ({ what, from: before.get(what) ?? null, to: after.get(what) ?? null }))
    .filter(({ from, to }) => canonicalJson(from) !== canonicalJson(to))
    .sort((x, y) => (x.what < y.what ? -1 : 1));
}
