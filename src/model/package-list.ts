import { canonicalJson } from './canonical-json.js';
import { sha256, type Digest } from './digest.js';
import { parseJson } from './parse-json.js';

/** One package, of npm or of Python, that is laid into an image. */
export interface ResolvedPackage {
  /** Where it lies below /app: `node_modules/a/node_modules/@b/c`; of Python `site-packages/a`, by its name, since all lie in one folder. */
  readonly location: string;
  /** Its own name; where it is there under another (`npm:` in a package.json), the location has that. */
  readonly name: string;
  readonly version: string;
  /** Subresource integrity, of one algorithm and one digest (`sha512-…`); null for a package inside another's tarball. */
  readonly integrity: string | null;
  /** Location of the package whose tarball it came in; null for one with a tarball of its own. */
  readonly bundledIn: string | null;
}

/** The packages of an image, sorted by location in code-unit order. */
export type PackageList = readonly ResolvedPackage[];

/** The line of each package in sandbox.lock, by location: `name@version integrity`, or `name@version in location`. */
export function formatLockLines(packages: PackageList): Readonly<Record<string, string>> {
  return Object.fromEntries(
    packages.map(({ location, name, version, integrity, bundledIn }) => [
      location,
      `${name}@${version} ${integrity ?? `in ${bundledIn}`}`,
    ]),
  );
}

/** What an image says of its packages, in /.sjs/packages.json: canonical JSON, a mapping by location. */
export function formatPackageList(packages: PackageList): string {
  return canonicalJson(
    Object.fromEntries(
      packages.map(({ location, name, version, integrity, bundledIn }) => [
        location,
        { name, version, ...(integrity === null ? { bundledIn } : { integrity }) },
      ]),
    ),
  );
}

/** The digest that an image's label has of its packages. */
export function digestOfPackages(packages: PackageList): Digest {
  return sha256(formatPackageList(packages));
}

/** Reads /.sjs/packages.json, which may come from anybody; undefined for what {@link formatPackageList} never writes. */
export function parsePackageList(text: string): PackageList | undefined {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const packages = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([location, entry]): ResolvedPackage => {
      const { name, version, integrity, bundledIn } = (entry ?? {}) as Partial<Record<string, string>>;
      return {
        location,
        name: name ?? '',
        version: version ?? '',
        integrity: integrity ?? null,
        bundledIn: bundledIn ?? null,
      };
    });
  const isOfOneKind = packages.every(isSoundWheel) || packages.every(isSoundPackage);
  return isOfOneKind && formatPackageList(packages) === text ? packages : undefined;
}

/** Whether sjs could have laid it in: anybody may have written it. */
export const isSound = (one: ResolvedPackage): boolean => isSoundWheel(one) || isSoundPackage(one);

function isSoundPackage({ location, name, version, integrity, bundledIn }: ResolvedPackage): boolean {
  return (
    isPackageLocation(location) &&
    isPackageName(name) &&
    typeof version === 'string' &&
    /^[\w.+-]{1,256}$/.test(version) &&
    (bundledIn === null ? isIntegrity(integrity) : integrity === null && isPackageLocation(bundledIn))
  );
}

function isSoundWheel({ location, name, version, integrity, bundledIn }: ResolvedPackage): boolean {
  return (
    typeof name === 'string' &&
    location === wheelLocation(name) &&
    /^(?=.{1,214}$)[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name) &&
    typeof version === 'string' &&
    /^[\w.+!]{1,256}$/.test(version) &&
    bundledIn === null &&
    isIntegrity(integrity) &&
    integrity.startsWith('sha256-')
  );
}

/** The folder below /app where Python's packages lie, all in one. */
export const WHEEL_FOLDER = 'site-packages';

/** The place of one of Python's packages. */
export const wheelLocation = (name: string): string => `${WHEEL_FOLDER}/${name}`;

/** Whether a package at such a place is one of Python's. */
export const isWheelLocation = (location: string): boolean => location.startsWith(`${WHEEL_FOLDER}/`);

/** A name that npm takes for a package, in the form that the registry has had since 2014, or before (upper case). */
const NAME = '(?:@[A-Za-z0-9~!-][A-Za-z0-9._~!-]*/)?[A-Za-z0-9~!-][A-Za-z0-9._~!-]*';
const LOCATION = new RegExp(`^node_modules/${NAME}(?:/node_modules/${NAME})*$`);
const WHOLE_NAME = new RegExp(`^${NAME}$`);

/** Whether npm could have such a package: no path, nothing hidden, no folder that npm itself uses. */
export function isPackageName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length <= 214 &&
    WHOLE_NAME.test(name) &&
    !/^(?:node_modules|favicon\.ico)$/i.test(name)
  );
}

/** Whether packages lie at such a place: folders of packages, one in another, and nothing else. */
export function isPackageLocation(location: unknown): location is string {
  return (
    typeof location === 'string' &&
    location.length <= 1000 &&
    LOCATION.test(location) &&
    location.slice('node_modules/'.length).split('/node_modules/').every(isPackageName)
  );
}

/** The name that the package at a place is required by. */
export const nameAt = (location: string): string =>
  location.slice(location.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** The package and the range that an alias means (`npm:string-width@^4.2.0`); null for any other spec. */
export function parseAlias(spec: string): { readonly name: string; readonly range: string } | null {
  const [, name, range = ''] = /^npm:((?:@[^/@]+\/)?[^/@]+)(?:@(.*))?$/.exec(spec) ?? [];
  return isPackageName(name) ? { name, range } : null;
}

/** The package that has the one at a place in its own folder; null for one of the top. */
export function parentOf(location: string): string | null {
  const end = location.lastIndexOf('/node_modules/');
  return end < 0 ? null : location.slice(0, end);
}

/** Algorithms whose digests nobody can find a second content for, with the length of each in base64. */
const STRONG: Readonly<Record<string, number>> = { sha256: 44, sha384: 64, sha512: 88 };

/** Whether it is one digest by one of the algorithms that count. */
export function isIntegrity(text: unknown): text is string {
  const [, algorithm = '', digest = ''] = /^([a-z0-9]+)-([A-Za-z0-9+/]+={0,2})$/.exec(String(text)) ?? [];
  return digest.length === STRONG[algorithm];
}
