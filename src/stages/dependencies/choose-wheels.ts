import { eq, satisfies } from '@renovatebot/pep440';
import { SjsError, type Problem } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { LockedWheel } from '../../model/locked-package.js';
import { wheelLocation, type PackageList } from '../../model/package-list.js';
import { parseWheelName } from '../../model/wheel.js';
import type { IndexFile } from '../../ports/package-index.js';
import { compareRanks, evaluateMarker, rankWheel, type PythonPlatform } from './python-platform.js';
import { MOST_HASHES, type Requirement } from './read-requirements.js';

/**
 * The requirements whose markers ask for this Python.
 * @throws SjsError `LOCKFILE_INVALID` where two of them are of one project
 */
export function requirementsFor(
  requirements: readonly Requirement[],
  file: string,
  platform: PythonPlatform,
): readonly Requirement[] {
  const needed = requirements.filter(({ marker }) => evaluateMarker(marker, platform));
  const seen = new Set<string>();
  const problems = needed.flatMap(({ name, line }): Problem[] => {
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [{ message: `${name} is there twice for Python ${platform.version}`, location: { file, line } }];
  });
  if (problems.length === 0) return needed;
  throw new SjsError('LOCKFILE_INVALID', problems[0]?.message ?? file, {
    problems,
    next: 'keep one version of each, or give them markers that exclude each other',
  });
}

/**
 * The wheel that suits best of those that a requirement has the hash of.
 * @param files what the index has of the project
 * @throws SjsError `PACKAGE_UNAVAILABLE` when there is none
 */
export function chooseWheel(
  { name, version, extras, hashes }: Requirement,
  files: readonly IndexFile[],
  platform: PythonPlatform,
): LockedWheel {
  const listed = files.filter(({ integrity }) => hashes.includes(integrity)).slice(0, MOST_HASHES);
  const wheels = listed.flatMap((file) => {
    const wheel = parseWheelName(file.name);
    const isOther = wheel?.project !== name || !isSameVersion(wheel.version, version);
    const rank = isOther ? null : rankWheel(wheel, platform);
    return isOther || rank === null ? [] : [{ file, wheel, rank }];
  });
  const [best] = wheels.sort((a, b) => compareRanks(a.rank, b.rank) || (a.file.name < b.file.name ? -1 : 1));
  if (best) {
    return {
      location: wheelLocation(name),
      name,
      version: best.wheel.version,
      integrity: best.file.integrity,
      bundledIn: null,
      extras,
      url: best.file.url,
      stem: best.wheel.stem,
    };
  }
  const found = listed.slice(0, 10).map(({ name: file }) => cleanText(file));
  const why =
    files.length === 0
      ? 'the index does not have the project'
      : listed.length === 0
        ? 'the index has no file of it with a hash of requirements.txt'
        : `none of its files is a wheel for Python ${platform.version} on ${platform.machine} (${found.join(', ')})`;
  throw new SjsError('PACKAGE_UNAVAILABLE', `${name} ${version} cannot be had: ${why}`, {
    next: 'have its wheel in the index and its hash in requirements.txt; nothing is built from source, since that runs its code',
  });
}

/** By PEP 440: what is asked for without a local part (`+cpu`) is there with any. */
export function isSameVersion(found: string, asked: string): boolean {
  try {
    return eq(asked.includes('+') ? found : found.replace(/\+.*$/, ''), asked);
  } catch {
    return false;
  }
}

/** Whether a version lies in a range of a package's metadata; an empty range has all. */
export function isInRange(version: string, range: string): boolean {
  if (range.trim() === '') return true;
  try {
    return satisfies(version, range, { prereleases: true });
  } catch {
    return false;
  }
}

/** Places of packages that are not those that requirements ask for, and of what they ask for and is missing. */
export function findOtherWheels(packages: PackageList, needed: readonly Requirement[]): readonly string[] {
  const byName = new Map(packages.map((one) => [one.name, one]));
  const missing = needed.filter(({ name, version, hashes }) => {
    const found = byName.get(name);
    return !found || !isSameVersion(found.version, version) || !hashes.includes(found.integrity ?? '');
  });
  const names = new Set(needed.map(({ name }) => name));
  const unasked = packages.filter(({ name }) => !names.has(name));
  return [...missing, ...unasked].map(({ name }) => name).sort();
}
