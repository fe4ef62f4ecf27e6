import semver from 'semver';
import { SjsError } from '../../errors.js';
import { parentOf } from '../../model/package-list.js';
import type { OMITTABLE } from '../../model/sandbox.js';
import { parseJson } from '../../model/parse-json.js';

/** What a package.json or an entry of a lockfile says of dependencies, as far as it is of its type. */
export interface Manifest {
  readonly [field: string]: unknown;
}

/** How one package asks for another. */
export interface Edge {
  readonly from: PackageNode;
  readonly name: string;
  /** As written: a range, or anything else that npm takes. */
  readonly spec: string;
  readonly kind: 'prod' | 'dev' | 'optional' | 'peer' | 'peerOptional';
  /** Who answers to the name there; null when nobody does. */
  to: PackageNode | null;
}

/** A package in the tree of a lockfile. */
export interface PackageNode {
  /** '' for the root. */
  readonly location: string;
  readonly entry: Manifest;
  readonly edgesOut: Edge[];
  readonly edgesIn: Edge[];
  /** What npm's flags of these names say: it is there for these alone. */
  extraneous: boolean;
  dev: boolean;
  optional: boolean;
  devOptional: boolean;
  peer: boolean;
  /** An optional package that this platform cannot use, or one that is there for such a one alone. */
  isInert: boolean;
}

/** Where the packages will run. */
export interface PackagePlatform {
  /** In Node's words, as are those of a package.json: `linux`, `x64`. */
  readonly os: string;
  readonly cpu: string;
  readonly libc: 'glibc' | 'musl';
  /** Version of Node; null when nobody knows. */
  readonly node: string | null;
}

/**
 * The tree of a lockfile with the flags that npm gives it, computed from the dependencies as `npm ci` computes them
 * (arborist's calc-dep-flags): what the lockfile says of its flags counts for nothing.
 */
export function buildGraph(
  root: Manifest,
  entries: Readonly<Record<string, Manifest>>,
): readonly PackageNode[] {
  const nodes = new Map<string, PackageNode>([['', makeNode('', root)]]);
  for (const [location, entry] of Object.entries(entries)) {
    if (location !== '') nodes.set(location, makeNode(location, entry));
  }
  for (const node of nodes.values()) {
    for (const [name, { spec, kind }] of dependenciesOf(node.entry, node.location === '')) {
      const to = resolve(nodes, node.location, name);
      const edge: Edge = { from: node, name, spec, kind, to };
      node.edgesOut.push(edge);
      to?.edgesIn.push(edge);
    }
  }
  const top = nodes.get('') as PackageNode;
  clearFlags(top, (node) => {
    const parent = node.location === '' ? null : parentOf(node.location);
    return parent === null ? undefined : nodes.get(parent);
  });
  return [...nodes.values()];
}

const makeNode = (location: string, entry: Manifest): PackageNode => ({
  location,
  entry,
  edgesOut: [],
  edgesIn: [],
  extraneous: location !== '',
  dev: location !== '',
  optional: location !== '',
  devOptional: location !== '',
  peer: location !== '',
  isInert: false,
});

/** The package that Node would find from there. */
function resolve(nodes: ReadonlyMap<string, PackageNode>, from: string, name: string): PackageNode | null {
  for (let at: string | null = from; at !== null; at = at === '' ? null : (parentOf(at) ?? '')) {
    const found = nodes.get(at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`);
    if (found) return found;
  }
  return null;
}

type Dependency = Pick<Edge, 'spec' | 'kind'>;

/** What a package asks for. Where a name stands in several lists, the later of npm's order counts. */
export function dependenciesOf(entry: Manifest, isRoot: boolean): ReadonlyMap<string, Dependency> {
  const found = new Map<string, Dependency>();
  const optional = new Set(
    Object.entries(objectOf(entry['peerDependenciesMeta'])).flatMap(([name, meta]) =>
      objectOf(meta)['optional'] === true ? [name] : [],
    ),
  );
  const add = (field: string, kindOf: (name: string) => Edge['kind']): void => {
    for (const [name, spec] of Object.entries(objectOf(entry[field]))) {
      if (typeof spec === 'string') found.set(name, { spec, kind: kindOf(name) });
    }
  };
  add('peerDependencies', (name) => (optional.has(name) ? 'peerOptional' : 'peer'));
  add('dependencies', () => 'prod');
  add('optionalDependencies', () => 'optional');
  if (isRoot) add('devDependencies', () => 'dev');
  return found;
}

/** The text of a package.json; null for one that nobody can read. */
export function parseManifest(text: string): Manifest | null {
  try {
    const value: unknown = parseJson(text.replace(/^\uFEFF/, ''));
    return typeof value === 'object' && value !== null ? objectOf(value) : null;
  } catch {
    return null;
  }
}

/** A JSON object; an empty one for anything else. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

const isOptional = ({ kind }: Edge): boolean => kind === 'optional' || kind === 'peerOptional';
const isPeer = ({ kind }: Edge): boolean => kind === 'peer' || kind === 'peerOptional';

/** All flags are set at first; each walk along a dependency takes those away that it disproves. */
function clearFlags(root: PackageNode, parent: (node: PackageNode) => PackageNode | undefined): void {
  const seen = new Set<PackageNode>();
  const queue = [root];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    seen.add(node);
    if (!node.extraneous) {
      for (let above = parent(node); above?.extraneous; above = parent(above)) above.extraneous = false;
    }
    for (const edge of node.edgesOut) {
      const { to } = edge;
      if (to === null) continue;
      const before = flagsOf(to);
      if (!node.extraneous && edge.kind !== 'peerOptional') to.extraneous = false;
      if (!node.dev && edge.kind !== 'dev') to.dev = false;
      if (!node.optional && !isOptional(edge)) to.optional = false;
      if (!node.devOptional && !node.dev && !node.optional && edge.kind !== 'dev' && !isOptional(edge))
        to.devOptional = false;
      if (!node.peer && !isPeer(edge)) to.peer = false;
      if (flagsOf(to) !== before) queue.push(to);
    }
  }
  for (const node of seen) if (node.dev || node.optional) node.devOptional = false;
}

const flagsOf = ({ extraneous, dev, optional, devOptional, peer }: PackageNode): string =>
  [extraneous, dev, optional, devOptional, peer].map(Number).join('');

/** Whether a kind that stays out is all that a package is there for. */
export function isOmitted(node: PackageNode, omit: readonly (typeof OMITTABLE)[number][]): boolean {
  const stays = new Set(omit);
  return (
    node.extraneous ||
    node.isInert ||
    (node.peer && stays.has('peer')) ||
    (node.dev && stays.has('dev')) ||
    (node.optional && stays.has('optional')) ||
    (node.devOptional && stays.has('optional') && stays.has('dev'))
  );
}

/** Marks what npm leaves out of an installation for the platform: optional packages for others, and what is there for them alone. */
export function markInert(nodes: readonly PackageNode[], platform: PackagePlatform): void {
  const work = { left: MOST_STEPS };
  for (const node of nodes) {
    if (!node.optional || node.isInert || node.extraneous || fits(node.entry, platform)) continue;
    for (const one of optionalSet(node, work)) one.isInert = true;
  }
}

/** Dependencies that are looked at for what other platforms need: a lockfile of ten thousand packages takes some 100,000. */
const MOST_STEPS = 20_000_000;

/** As arborist's optional-set: up to the optional dependency that it is there for, and down to what nobody else needs. */
function optionalSet(node: PackageNode, work: { left: number }): ReadonlySet<PackageNode> {
  const look = (): boolean => {
    if ((work.left -= 1) >= 0) return true;
    throw new SjsError(
      'LOCKFILE_INVALID',
      'the lockfile’s optional packages depend on each other in too many ways',
      {
        next: 'take those for other platforms out of optionalDependencies',
      },
    );
  };
  const bounds = new Set([node]);
  for (const one of bounds)
    for (const edge of one.edgesIn) if (look() && !isOptional(edge)) bounds.add(edge.from);
  const counts = (edge: Edge): boolean => edge.to !== null && !bounds.has(edge.to) && !edge.from.isInert;
  const set = new Set(bounds);
  for (const one of set)
    for (const edge of one.edgesOut) if (look() && edge.to && counts(edge)) set.add(edge.to);
  const doubtful = [...set];
  for (const one of doubtful) {
    if (!set.has(one) || !one.edgesIn.some((edge) => look() && !set.has(edge.from) && counts(edge))) continue;
    set.delete(one);
    for (const { to } of one.edgesOut) if (look() && to && set.has(to)) doubtful.push(to);
  }
  return set;
}

/** Whether a package says that it works there (npm-install-checks); `engines` counts for optional ones. */
export function fits(entry: Manifest, platform: PackagePlatform): boolean {
  const { node } = platform;
  const engine = objectOf(entry['engines'])['node'];
  const isEngineFit =
    node === null ||
    typeof engine !== 'string' ||
    semver.satisfies(node, engine, { includePrerelease: true });
  return isEngineFit && fitsPlatform(entry, platform);
}

/** {@link fits} by system, processor and C library alone. */
export function fitsPlatform(entry: Manifest, { os, cpu, libc }: PackagePlatform): boolean {
  return listHas(entry['os'], os) && listHas(entry['cpu'], cpu) && listHas(entry['libc'], libc);
}

function listHas(list: unknown, value: string): boolean {
  if (list === undefined) return true;
  const items = (typeof list === 'string' ? [list] : Array.isArray(list) ? list : []).map(String);
  if (items.length === 1 && items[0] === 'any') return true;
  if (items.includes(`!${value}`)) return false;
  return items.includes(value) || items.every((item) => item.startsWith('!'));
}

/** Who asks, in a message: a place in the lockfile, or the root. */
export const askerOf = ({ location }: PackageNode): string => (location === '' ? 'package.json' : location);
