import { PackageURL } from 'packageurl-js';
import type { NodeProgram, LaidPackage, SystemContents, SystemPackage } from '../../model/image-contents.js';
import { isWheelLocation } from '../../model/package-list.js';

/** Where a package comes from, as package URLs call it. */
export const ecosystemOf = ({ location }: Pick<LaidPackage, 'location'>): 'npm' | 'pypi' =>
  isWheelLocation(location) ? 'pypi' : 'npm';

/** The package URL of a package that is laid over a base. */
export function formatPurl(one: Pick<LaidPackage, 'location' | 'name' | 'version'>): string {
  const { name, version } = one;
  if (ecosystemOf(one) === 'pypi') return new PackageURL('pypi', null, name, version).toString();
  const slash = name.indexOf('/');
  const scope = slash < 0 ? null : name.slice(0, slash);
  return new PackageURL('npm', scope, name.slice(slash + 1), version).toString();
}

/** The package URL of a package of the base's system. */
export function formatSystemPurl(
  { manager, name, version, architecture }: SystemPackage,
  distribution: SystemContents['distribution'],
): string {
  const distro = distribution && [distribution.id, distribution.version].filter(Boolean).join('-');
  return new PackageURL(
    manager,
    distribution?.id ?? (manager === 'deb' ? 'debian' : 'alpine'),
    name,
    version,
    {
      arch: architecture,
      ...(distro !== null && { distro }),
    },
  ).toString();
}

/** The strongest hash of an `integrity` (Subresource Integrity), as hex; null when it has none that counts. */
export function hashOf(
  integrity: string | null,
): { readonly algorithm: 'sha512' | 'sha384' | 'sha256'; readonly hex: string } | null {
  const hashes = new Map(
    [...(integrity ?? '').matchAll(/(?<!\S)(sha(?:512|384|256))-([A-Za-z0-9+/]+={0,2})(?!\S)/g)].map(
      ([, algorithm, hash]) => [algorithm, hash],
    ),
  );
  for (const algorithm of ['sha512', 'sha384', 'sha256'] as const) {
    const found = hashes.get(algorithm);
    if (found !== undefined) return { algorithm, hex: Buffer.from(found, 'base64').toString('hex') };
  }
  return null;
}

/** The package URL of a runtime that no package manager put there. */
export const runtimePurl = ({ name, version }: NodeProgram): string =>
  new PackageURL('generic', null, name ?? 'node', version).toString();

const CPE_NAMES = { node: 'nodejs:node.js', deno: 'deno:deno', bun: 'oven:bun' } as const;

/** How lists of weaknesses name it. */
export const runtimeCpe = ({ name, version }: NodeProgram): `cpe:2.3:${string}` =>
  `cpe:2.3:a:${CPE_NAMES[name ?? 'node']}:${version}:*:*:*:*:*:*:*`;
