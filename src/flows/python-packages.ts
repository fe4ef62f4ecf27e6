import { SjsError } from '../errors.js';
import type { Platform, VerifiedBase } from '../model/base.js';
import { canonicalJson } from '../model/canonical-json.js';
import { sha256 } from '../model/digest.js';
import { parseLockLine, type Lock } from '../model/lock.js';
import type { LockedWheel } from '../model/locked-package.js';
import type { PackageList } from '../model/package-list.js';
import type { Dependencies, LoadedSandbox } from '../model/sandbox.js';
import { parseWheelName } from '../model/wheel.js';
import type { IndexFile, PackageIndex } from '../ports/package-index.js';
import { chooseWheel, findOtherWheels, requirementsFor } from '../stages/dependencies/choose-wheels.js';
import { layWheels } from '../stages/dependencies/lay-wheels.js';
import type { PythonPlatform } from '../stages/dependencies/python-platform.js';
import { readRequirementsFile, type RequirementsFile } from '../stages/dependencies/read-lockfile.js';
import { readRequirements, type Requirement } from '../stages/dependencies/read-requirements.js';
import {
  eachAtOnce,
  platformOf,
  type LocatedPackages,
  type PackageSource,
  type PackageTools,
} from './provide-packages.js';

/** The packages of a requirements.txt. Its `pick` asks the index for what was never asked for, and throws `PACKAGE_UNAVAILABLE`. */
export async function locateWheels(
  loaded: LoadedSandbox,
  { lockfile }: Dependencies,
  tools: PackageTools,
): Promise<LocatedPackages> {
  const { file, text } = await readRequirementsFile(loaded, lockfile);
  const all = readRequirements(text, file);
  return {
    pick: async (base: VerifiedBase, signal) => {
      const platform = pythonPlatform(base.platform, base.signedVersion);
      const needed = requirementsFor(all, file, platform);
      const index = await tools.wheels();
      const packages: LockedWheel[] = [];
      await eachAtOnce(needed, async (requirement) => {
        packages.push(await findWheel(requirement, platform, index, tools, signal));
      });
      packages.sort((a, b) => (a.location < b.location ? -1 : 1));
      return {
        packages,
        omitted: all.length - needed.length,
        source: wheelSource(packages, platform, index),
      };
    },
    findOther: ({ base, packages: locked }: Lock) => {
      const packages = Object.entries(locked).flatMap(([place, line]) => parseLockLine(place, line) ?? []);
      // Of one platform or all it was made: the one that fits best counts.
      const others = Object.keys(base.manifests).map((name) => {
        const platform = pythonPlatform(platformOf(name), base.version);
        return findOtherWheels(packages, requirementsFor(all, file, platform));
      });
      return others.sort((a, b) => a.length - b.length)[0] ?? [];
    },
  };
}

/** Whether a requirements.txt, which may be anybody's, asks for these packages and no others. */
export function asksFor(
  { file, text }: RequirementsFile,
  packages: PackageList,
  platform: Platform,
  version: string | null,
): boolean {
  try {
    const needed = requirementsFor(readRequirements(text, file), file, pythonPlatform(platform, version));
    return findOtherWheels(packages, needed).length === 0;
  } catch (error) {
    if (error instanceof SjsError) return false;
    throw error;
  }
}

/** A requirements.txt that has these packages and no others. */
export function writeRequirements(packages: PackageList): string {
  return packages
    .map(({ name, version, integrity }) => {
      const hex = Buffer.from((integrity ?? '').slice('sha256-'.length), 'base64').toString('hex');
      return `${name}==${version} \\\n    --hash=sha256:${hex}\n`;
    })
    .join('');
}

/** Linux's words for an architecture, where they are not OCI's. */
const MACHINES: Readonly<Record<string, string>> = { amd64: 'x86_64', arm64: 'aarch64', '386': 'i686' };

/** The Python of a base. @throws SjsError `PACKAGE_UNAVAILABLE` for a base that does not say of which version it is */
export function pythonPlatform({ architecture }: Platform, version: string | null): PythonPlatform {
  // A tag may have more behind it: 3.12.1-slim.
  const python = /^\d+\.\d+\.\d+/.exec(version ?? '')?.[0];
  if (python !== undefined) return { version: python, machine: MACHINES[architecture] ?? architecture };
  throw new SjsError(
    'PACKAGE_UNAVAILABLE',
    'the base does not say of which Python it is: no wheel can be chosen',
    {
      next: 'name a base whose signature has a version, as sjs base import --version signs it',
    },
  );
}

/** What the index said once of the same line holds: its hashes name the bytes. */
async function findWheel(
  requirement: Requirement,
  platform: PythonPlatform,
  index: PackageIndex,
  { knownWheels }: PackageTools,
  signal?: AbortSignal,
): Promise<LockedWheel> {
  const { name, version, hashes } = requirement;
  const key = sha256(canonicalJson({ name, version, hashes: [...hashes].sort(), platform }));
  const known = await knownWheels.get(key);
  if (isIndexFile(known) && parseWheelName(known.name) !== null)
    return chooseWheel(requirement, [known], platform);
  const files = await index.list(name, signal);
  const found = chooseWheel(requirement, files, platform);
  const file = files.find(({ url, integrity }) => url === found.url && integrity === found.integrity);
  if (file) await knownWheels.set(key, { ...file, url: null });
  return found;
}

const isIndexFile = (value: unknown): value is IndexFile =>
  typeof value === 'object' &&
  value !== null &&
  (value as IndexFile).url === null &&
  ['name', 'integrity'].every((key) => typeof (value as Record<string, unknown>)[key] === 'string');

function wheelSource(
  packages: readonly LockedWheel[],
  platform: PythonPlatform,
  index: PackageIndex,
): PackageSource {
  return {
    // By another Python, or with other parts asked for, the same wheels may not fit together.
    rule: { platform, extras: packages.map(({ extras }) => extras) },
    archives: packages.map((one) => ({
      fetch: (signal) => index.fetch(one, signal),
      touch: () => index.touch(one),
    })),
    lay: () => layWheels(packages, platform, (wanted) => index.open(wanted)),
  };
}
