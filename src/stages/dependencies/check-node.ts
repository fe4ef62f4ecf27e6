import semver from 'semver';
import type { LockedPackage } from '../../model/locked-package.js';
import {
  isIntegrity,
  isPackageLocation,
  isPackageName,
  nameAt,
  parentOf,
  parseAlias,
} from '../../model/package-list.js';
import {
  askerOf,
  fitsPlatform,
  type Manifest,
  type PackageNode,
  type PackagePlatform,
} from './package-graph.js';

/** Whether an address is one of the registry that the operator configured for packages of that name. */
export type IsOwnAddress = (address: URL, name: string) => boolean;

/** What checking needs to know of the whole. */
export interface CheckContext {
  readonly platform: PackagePlatform;
  readonly isOwnAddress: IsOwnAddress;
  readonly refused: RefusedScripts;
  /** Of all that is laid in, by location. */
  readonly entries: ReadonlyMap<string, Manifest>;
  /** Whether it is the root, or is laid in. */
  readonly isLaid: (node: PackageNode) => boolean;
}

/** Why a package cannot be laid in. */
export interface Finding {
  readonly message: string;
  readonly next?: string;
}

/** One entry of what is laid in: the package, or why not. */
export function checkNode(
  node: PackageNode,
  context: CheckContext,
): { readonly found?: LockedPackage; readonly problems: readonly Finding[] } {
  const { platform, isOwnAddress, entries } = context;
  const { location, entry } = node;
  if (entry['link'] === true) return { problems: [describeLink(node)] };
  if (!isPackageLocation(location)) {
    return { problems: [{ message: `${JSON.stringify(location)} is no place for a package` }] };
  }
  const name = typeof entry['name'] === 'string' ? entry['name'] : nameAt(location);
  const version =
    typeof entry['version'] === 'string' ? semver.parse(entry['version'], { loose: true }) : null;
  const bundledIn = isBundled(entry) ? bundlerOf(location, entries) : null;
  const resolved = typeof entry['resolved'] === 'string' ? entry['resolved'] : null;
  const integrity = bundledIn === null ? strongest(entry['integrity']) : null;
  const hasInstallScript = entry['hasInstallScript'] === true;
  const worksWithoutScript = context.refused.has(name, String(entry['version']));
  const problems: Finding[] = [];
  for (const { from, spec } of node.edgesIn.filter((edge) => context.isLaid(edge.from))) {
    if ((parseAlias(spec)?.name ?? nameAt(location)) === name) continue;
    problems.push({
      message: `${location} hides another package: it is ${JSON.stringify(name)}, and ${askerOf(from)} asks for ${JSON.stringify(spec)}`,
      next: 'do not use this lockfile before you know who wrote that',
    });
  }
  if (!isPackageName(name))
    problems.push({ message: `${location} has no name of a package: ${JSON.stringify(name)}` });
  if (bundledIn === null && resolved !== null)
    problems.push(...checkAddress(resolved, name, node, isOwnAddress));
  if (version === null)
    problems.push({ message: `${location} has no version: ${JSON.stringify(entry['version'])}` });
  if (bundledIn === null && integrity === null && !isElsewhere(resolved)) {
    problems.push({
      message: `${location} has ${entry['integrity'] === undefined ? 'no integrity' : 'no integrity that counts: sha1 and md5 do not'}`,
      next: 'remove node_modules and the lockfile, run npm install --package-lock-only with npm 7 or later and commit it',
    });
  }
  if (!fitsPlatform(entry, platform)) {
    const { os, cpu, libc } = platform;
    problems.push({ message: `${location} is not for ${os}, ${cpu}, ${libc}, and it is not optional` });
  }
  if (hasInstallScript && !worksWithoutScript) {
    problems.push({
      message: `${location} has an install script, which sjs does not run`,
      next: `if it works without, write "allowScripts": { "${name}": false } into package.json, as npm does; else depend on one that ships what it needs`,
    });
  }
  if (problems.length > 0 || version === null) return { problems };
  const found = {
    location,
    name,
    version: version.version,
    integrity,
    bundledIn,
    resolved,
    hasInstallScript,
    worksWithoutScript,
    aliases: aliasesOf(node),
  };
  return { found, problems };
}

/** Why a link is not laid in, and what does instead of it. */
function describeLink({ location, entry }: PackageNode): Finding {
  const target = String(entry['resolved']);
  const message = `${location} is a link to ${JSON.stringify(target)}, and links and workspaces are not laid in yet`;
  const isInside = !/^(?:\.\.(?:\/|$)|\/|[A-Za-z]:)/.test(target);
  const next = isInside
    ? `import its files by their path, or by "imports": { "#${nameAt(location)}/*": "./${target}/*" } in package.json; there take it out of "dependencies" and "workspaces", add what it needs itself, and run npm install`
    : 'publish it to your registry, or put its files into the source and import them by their path';
  return { message, next };
}

const aliasesOf = ({ edgesOut }: PackageNode): Readonly<Record<string, string>> =>
  Object.fromEntries(
    edgesOut.flatMap(({ name, spec, to }) => {
      const alias = to === null ? null : parseAlias(spec);
      return alias === null ? [] : [[name, alias.name]];
    }),
  );

/** In the tarball of the package that it lies in. What the root bundles has a tarball of its own all the same. */
const isBundled = (entry: Manifest): boolean =>
  entry['inBundle'] === true && entry['integrity'] === undefined && entry['resolved'] === undefined;

/** The package above that has a tarball of its own; null when there is none. */
function bundlerOf(location: string, chosen: ReadonlyMap<string, Manifest>): string | null {
  const parent = parentOf(location);
  if (parent === null) return null;
  const entry = chosen.get(parent);
  return entry !== undefined && !isBundled(entry) ? parent : bundlerOf(parent, chosen);
}

/** The digest of the strongest algorithm; null when none counts. */
function strongest(integrity: unknown): string | null {
  if (typeof integrity !== 'string') return null;
  const digests = integrity.split(/\s+/).filter(isIntegrity);
  return (
    ['sha512-', 'sha384-', 'sha256-'].flatMap(
      (kind) => digests.find((one) => one.startsWith(kind)) ?? [],
    )[0] ?? null
  );
}

/** Said already by where it comes from. */
const isElsewhere = (resolved: string | null): boolean => resolved !== null && !/^https?:/i.test(resolved);

function* checkAddress(
  resolved: string,
  name: string,
  { location }: PackageNode,
  isOwnAddress: IsOwnAddress,
): Generator<Finding> {
  const shown = JSON.stringify(withoutSecrets(resolved).slice(0, 200));
  const registry = 'depend on a release that a registry has';
  let url: URL;
  try {
    url = new URL(resolved);
  } catch {
    yield { message: `${location} comes from ${shown}, which is no address of a registry`, next: registry };
    return;
  }
  if (url.protocol.startsWith('git') || /^(?:github|gitlab|bitbucket|gist):/.test(url.protocol)) {
    yield { message: `${location} comes from git: ${shown}`, next: registry };
  } else if (url.protocol === 'file:') {
    yield { message: `${location} comes from a file: ${shown}`, next: registry };
  } else if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    yield { message: `${location} comes from ${shown}, which is no address of a registry`, next: registry };
  } else if (url.username !== '' || url.password !== '' || url.hash !== '') {
    yield { message: `${location} comes from an address with more than a registry has: ${shown}` };
  } else if (!isOwnAddress(url, name)) {
    yield {
      message: `${location} comes from ${shown}, which is not the registry that npm is configured for here`,
      next: 'set registry (or @scope:registry) in your own npm configuration, or run npm install anew against yours',
    };
  } else if (leadsElsewhere(url)) {
    yield { message: `${location} comes from an address that can be read in two ways: ${shown}` };
  } else if (!namesPackage(url, name)) {
    yield { message: `${location} comes from the address of another package: ${shown}` };
  }
}

/**
 * Whether a path begins like an address of its own, or has slashes that some servers see and others do not: npm's library
 * resolves it once more against the registry, and `//host/` is then another host.
 */
const leadsElsewhere = ({ pathname }: URL): boolean =>
  pathname.includes('//') || /%(?:2f|5c)/i.test(pathname.replace(/\/@[^/%]+%2f/gi, '/'));

/** Every registry has the name of the package in the path of its tarballs. */
function namesPackage({ pathname }: URL, name: string): boolean {
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    return false;
  }
  return path.includes(`/${name}/`);
}

const withoutSecrets = (address: string): string => address.replace(/\/\/[^/@]*@/, '//…@');

/** Of one name: whoever writes more wants the build to have no end. */
const MOST_RANGES = 100;

/** npm's own words for "do not run it" (`allowScripts`): a name, or a name with exact versions. */
export class RefusedScripts {
  private readonly ranges = new Map<string, string[]>();

  constructor(allowed: Readonly<Record<string, unknown>>) {
    for (const [key, value] of Object.entries(allowed)) {
      if (value !== false) continue;
      const [, name = key, range = '*'] = /^(@?[^@]+)@(.+)$/.exec(key) ?? [];
      const ranges = this.ranges.get(name);
      if (!ranges) this.ranges.set(name, [range]);
      else if (ranges.length < MOST_RANGES) ranges.push(range);
    }
  }

  has(name: string, version: string): boolean {
    const options = { loose: true, includePrerelease: true };
    return (this.ranges.get(name) ?? []).some((range) => semver.satisfies(version, range, options));
  }
}
