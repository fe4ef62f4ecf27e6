import { SjsError } from '../../errors.js';
import { digestOfPackages, nameAt, parentOf, type PackageList } from '../../model/package-list.js';
import type { Digest } from '../../model/digest.js';
import { OMITTABLE, type Dependencies } from '../../model/sandbox.js';
import { choosePackages } from './choose-packages.js';
import type { PackagePlatform } from './package-graph.js';
import type { LockedFiles } from './read-lockfile.js';

/** What an image does not say: which kinds of dependencies its author left out. The first answer that gives its list; null for none. */
export function findOmitted(
  files: LockedFiles,
  platform: PackagePlatform,
  digest: Digest,
): Dependencies['omit'] | null {
  const all = OMITTABLE.map((_, bit) => 1 << bit);
  for (let set = 0; set < 1 << all.length; set += 1) {
    const omit = OMITTABLE.filter((_, bit) => (set & (1 << bit)) !== 0);
    try {
      const { packages } = choosePackages(files, omit, platform, () => true);
      if (digestOfPackages(packages) === digest) return omit;
    } catch (error) {
      if (!(error instanceof SjsError)) throw error;
    }
  }
  return null;
}

/**
 * A package.json and a lockfile that have these packages and no others.
 * @param scripted locations of those with an install script: it was not run, and is not to be now
 */
export function writeLockfile(
  name: string,
  packages: PackageList,
  scripted: ReadonlySet<string>,
): { readonly manifest: string; readonly lock: string } {
  const needs = new Map<string, Record<string, string>>();
  for (const { location, name: real, version } of packages) {
    const asker = parentOf(location) ?? '';
    const spec = real === nameAt(location) ? version : `npm:${real}@${version}`;
    needs.set(asker, { ...needs.get(asker), [nameAt(location)]: spec });
  }
  const dependencies = needs.get('') ?? {};
  const entries = packages.map(({ location, name: real, version, integrity }) => {
    const own = needs.get(location);
    const origin = integrity === null ? { inBundle: true } : { integrity };
    const alias = real !== nameAt(location) && { name: real };
    const script = scripted.has(location) && { hasInstallScript: true };
    return [
      location,
      { ...alias, version, ...origin, ...script, ...(own && { dependencies: own }) },
    ] as const;
  });
  const silent = packages.filter(({ location }) => scripted.has(location));
  const allowScripts = Object.fromEntries(silent.map((one) => [one.name, false]));
  const manifest = { name, private: true, dependencies, ...(silent.length > 0 && { allowScripts }) };
  const lock = {
    name,
    lockfileVersion: 3,
    requires: true,
    packages: { '': { name, dependencies }, ...Object.fromEntries(entries) },
  };
  const write = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  return { manifest: write(manifest), lock: write(lock) };
}
