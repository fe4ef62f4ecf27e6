import semver from 'semver';
import { SjsError, type Problem } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { PACKAGE_LIMITS, type LockedPackage } from '../../model/locked-package.js';
import { parseAlias } from '../../model/package-list.js';
import { parseJson } from '../../model/parse-json.js';
import type { Dependencies } from '../../model/sandbox.js';
import { checkNode, RefusedScripts, type CheckContext, type IsOwnAddress } from './check-node.js';
import {
  askerOf,
  buildGraph,
  dependenciesOf,
  isOmitted,
  markInert,
  objectOf,
  type Edge,
  type Manifest,
  type PackageNode,
  type PackagePlatform,
} from './package-graph.js';
import type { LockedFiles } from './read-lockfile.js';

/** What is laid into an image of a lockfile. */
export interface ChosenPackages {
  /** Sorted by location, in code-unit order. */
  readonly packages: readonly LockedPackage[];
  /** How many the lockfile has besides. */
  readonly omitted: number;
  /** Names of packages with an install script, that their author says work without. */
  readonly scriptsIgnored: readonly string[];
}

/**
 * Chooses what of a lockfile is laid into an image, as `npm ci` would: without what is omitted, what another platform
 * needs and what nobody asks for. Nothing is resolved: what the two files do not say together is refused.
 * @throws SjsError `LOCKFILE_INVALID`, or `LOCKFILE_MISMATCH` where the files disagree, with all problems at once
 */
export function choosePackages(
  files: LockedFiles,
  omit: Dependencies['omit'],
  platform: PackagePlatform,
  isOwnAddress: IsOwnAddress,
): ChosenPackages {
  const lines = new Lines(files.lockText);
  const at = (message: string, place?: string, next?: string): Problem => ({
    message: cleanText(message),
    location: { file: files.file, ...lines.find(place) },
    ...(next !== undefined && { next }),
  });
  const manifest = parseObject(files.manifestText, files.manifestFile);
  const { root, entries } = parseLock(files);
  const disagreements = [...compareRoots(manifest, root)].map((message) => at(message));
  if (disagreements.length > 0) throw disagree(files, disagreements);

  const nodes = buildGraph(manifest, entries);
  markInert(nodes, platform);
  const chosen = nodes.filter(
    (node) => node.location !== '' && (!isOmitted(node, omit) || isWorkspace(node, manifest)),
  );
  const laid = new Set(chosen);
  const unmet = [...unmetEdges(nodes, laid, overriddenNames(manifest))];
  const context: CheckContext = {
    platform,
    isOwnAddress,
    refused: new RefusedScripts(objectOf(manifest['allowScripts'])),
    entries: new Map(chosen.map(({ location, entry }) => [location, entry])),
    isLaid: (node) => node.location === '' || laid.has(node),
  };
  const checked = chosen.map((node) => checkNode(node, context));
  const problems = checked.flatMap(({ problems: found }, index) =>
    found.map(({ message, next }) => at(message, chosen[index]?.location, next)),
  );
  if (problems.length > 0) throw refuse(files, problems);
  if (unmet.length > 0)
    throw disagree(
      files,
      unmet.map(({ message, place }) => at(message, place)),
    );
  const packages = checked.flatMap(({ found }) => found ?? []);
  return {
    packages: packages.sort((a, b) => (a.location < b.location ? -1 : 1)),
    omitted: nodes.length - 1 - chosen.length,
    scriptsIgnored: [
      ...new Set(packages.flatMap(({ name, hasInstallScript }) => (hasInstallScript ? [name] : []))),
    ].sort(),
  };
}

function refuse({ file }: LockedFiles, problems: readonly Problem[]): SjsError {
  const [first] = problems;
  return new SjsError(
    'LOCKFILE_INVALID',
    problems.length === 1
      ? (first?.message ?? file)
      : `${file} has ${problems.length} packages that cannot be laid into an image`,
    { problems, next: first?.next ?? 'correct package.json, run npm install and commit both files' },
  );
}

function disagree({ file }: LockedFiles, problems: readonly Problem[]): SjsError {
  return new SjsError(
    'LOCKFILE_MISMATCH',
    problems.length === 1
      ? `package.json and ${file} disagree: ${problems[0]?.message}`
      : `package.json and ${file} disagree in ${problems.length} places`,
    { problems, next: 'run npm install --package-lock-only, review the change and commit both files' },
  );
}

function parseObject(text: string, file: string): Manifest {
  let value: unknown;
  try {
    value = parseJson(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new SjsError('LOCKFILE_INVALID', `${file} is no JSON`, { cause, location: { file } });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Manifest;
  throw new SjsError('LOCKFILE_INVALID', `${file} is no JSON object`, { location: { file } });
}

function parseLock({ lockText, file }: LockedFiles): {
  readonly root: Manifest;
  readonly entries: Readonly<Record<string, Manifest>>;
} {
  const lock = parseObject(lockText, file);
  const version = lock['lockfileVersion'];
  const packages = objectOf(lock['packages']);
  if ((version !== 2 && version !== 3) || !Object.hasOwn(packages, '')) {
    const found = version === undefined ? 'none' : cleanText(JSON.stringify(version)).slice(0, 40);
    throw new SjsError(
      'LOCKFILE_INVALID',
      version === 2 || version === 3
        ? `${file} does not say what it was made of`
        : `${file} has lockfileVersion ${found}, and sjs reads 2 and 3`,
      { location: { file }, next: 'run npm install --package-lock-only with npm 7 or later' },
    );
  }
  const places = Object.keys(packages);
  if (places.length - 1 > PACKAGE_LIMITS.packages) {
    throw new SjsError(
      'LOCKFILE_INVALID',
      `${file} has ${places.length - 1} packages; ${PACKAGE_LIMITS.packages} are allowed`,
      { location: { file }, next: 'split what the sandbox needs from the rest' },
    );
  }
  return {
    root: objectOf(packages['']),
    entries: Object.fromEntries(places.map((place) => [place, objectOf(packages[place])])),
  };
}

/** Where package.json asks for other than the lockfile was made of: what `npm ci` looks for first. */
function* compareRoots(manifest: Manifest, root: Manifest): Generator<string> {
  const [asked, locked] = [dependenciesOf(manifest, true), dependenciesOf(root, true)];
  for (const name of new Set([...asked.keys(), ...locked.keys()])) {
    const [now, then] = [asked.get(name), locked.get(name)];
    if (now?.spec === then?.spec && now?.kind === then?.kind) continue;
    const say = (one: typeof now): string =>
      one === undefined ? 'nothing' : `${JSON.stringify(one.spec)} (${one.kind})`;
    yield `package.json asks for ${name} ${say(now)}, the lockfile was made for ${say(then)}`;
  }
}

interface Unmet {
  readonly message: string;
  readonly place: string;
}

/** Dependencies that the lockfile does not answer to. Of peers npm itself is not sure: those are left to their authors. */
function* unmetEdges(
  nodes: readonly PackageNode[],
  chosen: ReadonlySet<PackageNode>,
  overridden: ReadonlySet<string>,
): Generator<Unmet> {
  for (const node of nodes) {
    if (node.location !== '' && !chosen.has(node)) continue;
    for (const edge of node.edgesOut) {
      const message = describeUnmet(edge, chosen, overridden.has(edge.name));
      if (message !== null) yield { message, place: edge.to?.location ?? node.location };
    }
  }
}

function describeUnmet(
  { from, name, spec, kind, to }: Edge,
  chosen: ReadonlySet<PackageNode>,
  isOverridden: boolean,
): string | null {
  const asker = askerOf(from);
  if (kind === 'peer' || kind === 'peerOptional') return null;
  if (to === null) {
    return kind === 'optional' ? null : `${asker} needs ${name} ${spec}, which the lockfile does not have`;
  }
  const isLaid = chosen.has(to);
  const range = semver.validRange(parseAlias(spec)?.range ?? spec, { loose: true });
  const { version } = to.entry;
  if (range === null) {
    // A tag says which version it meant once; what is no name for one lies elsewhere than in the registry.
    return !isLaid || isOverridden || /^[A-Za-z][\w.-]*$/.test(spec)
      ? null
      : `${asker} wants ${name} from ${JSON.stringify(spec)}, and not from the registry`;
  }
  if (isOverridden || range === '*') return null;
  return typeof version === 'string' && semver.satisfies(version, range, { loose: true })
    ? null
    : `${asker} needs ${name} ${spec}, and the lockfile has ${String(version)} at ${to.location}`;
}

/** Names whose versions package.json decides by itself. */
function overriddenNames(manifest: Manifest): ReadonlySet<string> {
  const names = new Set<string>();
  const walk = (value: unknown, depth: number): void => {
    for (const [key, inner] of Object.entries(objectOf(value))) {
      names.add(key.replace(/(?<=.)@.*$/, ''));
      if (depth < 64) walk(inner, depth + 1);
    }
  };
  walk(manifest['overrides'], 0);
  return names;
}

/** npm links every workspace and installs what it needs, whether or not anybody asks for it. */
const isWorkspace = ({ entry, extraneous }: PackageNode, manifest: Manifest): boolean =>
  extraneous && entry['link'] === true && manifest['workspaces'] !== undefined;

/** Finds the lines of entries without a second parse. */
class Lines {
  private readonly text: string;
  private found: ReadonlyMap<string, number> | undefined;

  constructor(text: string) {
    this.text = text;
  }

  find(place: string | undefined): { readonly line?: number; readonly path?: string } {
    if (place === undefined || place === '') return {};
    // Once for all: there may be a problem with each of ten thousand.
    this.found ??= this.findAll();
    const path = `packages[${JSON.stringify(place)}]`;
    const line = this.found.get(JSON.stringify(place));
    return line === undefined ? { path } : { path, line };
  }

  private findAll(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    let line = 1;
    for (const text of this.text.split('\n')) {
      const [, key] = /^\s*("[^"]{0,1000}"): \{/.exec(text) ?? [];
      if (key !== undefined && !found.has(key)) found.set(key, line);
      line += 1;
    }
    return found;
  }
}
