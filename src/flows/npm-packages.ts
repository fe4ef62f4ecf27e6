import { SjsError } from '../errors.js';
import type { Platform, VerifiedBase } from '../model/base.js';
import { sortKeys, type Lock } from '../model/lock.js';
import type { LockedPackage } from '../model/locked-package.js';
import { formatLockLines } from '../model/package-list.js';
import type { Dependencies, LoadedSandbox } from '../model/sandbox.js';
import type { PackageRegistry } from '../ports/package-registry.js';
import { choosePackages } from '../stages/dependencies/choose-packages.js';
import { layPackages } from '../stages/dependencies/lay-packages.js';
import type { PackagePlatform } from '../stages/dependencies/package-graph.js';
import { readLockfile } from '../stages/dependencies/read-lockfile.js';
import {
  platformOf,
  type LocatedPackages,
  type PackageSource,
  type PackageTools,
} from './provide-packages.js';

/** The packages of a package-lock.json. Its `pick` throws as {@link choosePackages}. */
export async function locateNpm(
  loaded: LoadedSandbox,
  dependencies: Dependencies,
  { packages, reporter }: PackageTools,
): Promise<LocatedPackages> {
  const [files, registry] = await Promise.all([readLockfile(loaded, dependencies.lockfile), packages()]);
  const isOwnAddress = await registry.addresses();
  const choose = (platform: Platform, version: string | null) =>
    choosePackages(files, dependencies.omit, packagePlatform(platform, version), isOwnAddress);
  return {
    pick: (base: VerifiedBase) => {
      const { scriptsIgnored, ...chosen } = choose(base.platform, base.signedVersion);
      if (scriptsIgnored.length > 0) {
        reporter.warn(
          `no install script is run, as package.json has it in allowScripts: ${scriptsIgnored.join(', ')}`,
        );
      }
      return Promise.resolve({ ...chosen, source: npmSource(chosen.packages, registry) });
    },
    findOther: ({ base, packages: locked }: Lock) => {
      let fits: readonly string[] | null = null;
      let refusal: SjsError | null = null;
      // Of one platform or all it was made: the one that fits best counts.
      for (const name of Object.keys(base.manifests)) {
        try {
          const lines = formatLockLines(choose(platformOf(name), base.version).packages);
          const places = Object.keys(sortKeys({ ...locked, ...lines }));
          const other = places.filter((place) => locked[place] !== lines[place]);
          if (fits === null || other.length < fits.length) fits = other;
        } catch (error) {
          // What no build of one platform would take, one of another may.
          if (!(error instanceof SjsError) || !error.code.startsWith('LOCKFILE_')) throw error;
          refusal ??= error;
        }
      }
      if (fits !== null) return fits;
      throw refusal ?? new SjsError('INTERNAL', 'a lock is of no platform');
    },
  };
}

/** Node's words for an architecture, where they are not OCI's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { amd64: 'x64', '386': 'ia32', ppc64le: 'ppc64' };

/** The platform of a base as npm's packages name it. */
export function packagePlatform({ os, architecture }: Platform, node: string | null): PackagePlatform {
  return { os, cpu: ARCHITECTURES[architecture] ?? architecture, libc: 'glibc', node };
}

/** What was chosen of npm, from its registry. */
export function npmSource(packages: readonly LockedPackage[], registry: PackageRegistry): PackageSource {
  const tarballs = packages.filter(({ bundledIn }) => bundledIn === null);
  return {
    // What was laid once need not be looked at again, except by another rule.
    rule: {
      silent: packages.filter((one) => one.worksWithoutScript).map(({ location }) => location),
      aliases: Object.fromEntries(packages.map((one) => [one.location, one.aliases])),
    },
    // One may lie in several places.
    archives: [...new Map(tarballs.map((one) => [one.integrity, one])).values()].map((one) => ({
      fetch: (signal) => registry.fetch(one, signal),
      touch: () => registry.touch(one),
    })),
    lay: () => layPackages(packages, (wanted) => registry.open(wanted)),
  };
}
