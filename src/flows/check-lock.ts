import { SjsError } from '../errors.js';
import type { Platform } from '../model/base.js';
import { sortKeys, type Lock } from '../model/lock.js';
import { formatLockLines } from '../model/package-list.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { choosePackages } from '../stages/dependencies/choose-packages.js';
import { lockPath, readLock } from '../stages/lock/lock-file.js';
import { describeDeclared, type DeclaredTools } from './describe-declared.js';
import { locatePackages, packagePlatform, type PackageTools } from './provide-packages.js';

/** What checking a lock needs of the world: no engine and no registry. */
export type CheckLockTools = Pick<DeclaredTools, 'loadPolicy' | 'seccompProfile'> & PackageTools;

/**
 * Checks that sandbox.lock is there, answers what sandbox.yaml, or the policy's default, asks of the base, and has the
 * packages of the lockfile. Neither engine nor registry is asked: whether it is true, a build verifies.
 * @throws SjsError `LOCK_OUTDATED`; `LOCK_INVALID` for a lock that cannot be understood; `LOCKFILE_*`
 */
export async function checkLock(loaded: LoadedSandbox, tools: CheckLockTools): Promise<void> {
  const { isLockOutdated } = await describeDeclared(loaded, tools);
  const lock = await readLock(loaded.directory);
  const file = lockPath(loaded.directory);
  const refuse = (message: string): SjsError =>
    new SjsError('LOCK_OUTDATED', message, {
      location: { file },
      next: 'run sjs lock, review the change and commit it',
    });
  if (isLockOutdated || lock === null) {
    throw refuse(`${file} is not there, or not of the base that ${loaded.file} asks for`);
  }
  const other = await findOther(loaded, lock, tools);
  if (other.length === 0) return;
  const more = other.length > SHOWN ? ` and ${other.length - SHOWN} more` : '';
  throw refuse(
    `${file} does not have the packages that a build lays in: ${other.slice(0, SHOWN).join(', ')}${more}`,
  );
}

const SHOWN = 5;

/** Locations where the lock has another package than the lockfile, for every platform that it was made on. */
async function findOther(
  loaded: LoadedSandbox,
  { base, packages }: Lock,
  tools: PackageTools,
): Promise<readonly string[]> {
  const located = await locatePackages(loaded, tools);
  if (located === null) return Object.keys(packages);
  const { files, dependencies, isOwnAddress } = located;
  let least: readonly string[] | null = null;
  for (const name of Object.keys(base.manifests)) {
    const platform = packagePlatform(parsePlatform(name), base.version);
    const chosen = choosePackages(files, dependencies.omit, platform, isOwnAddress);
    const lines = formatLockLines(chosen.packages);
    const places = Object.keys(sortKeys({ ...packages, ...lines }));
    const other = places.filter((place) => packages[place] !== lines[place]);
    if (least === null || other.length < least.length) least = other;
  }
  return least ?? [];
}

function parsePlatform(name: string): Platform {
  const [os = '', architecture = ''] = name.split('/');
  return { os, architecture };
}
