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

/** So many packages are named; the rest is counted. */
const SHOWN = 5;

/**
 * Checks that sandbox.lock is there, answers what sandbox.yaml, or the policy's default, asks of the base, and has the
 * packages of the lockfile. Neither engine nor registry is asked: whether it is true, a build verifies.
 * @throws SjsError `LOCK_OUTDATED`; `LOCK_INVALID` for a lock that cannot be understood; `LOCKFILE_INVALID` and
 * `LOCKFILE_MISMATCH` as a build.
 */
export async function checkLock(loaded: LoadedSandbox, tools: CheckLockTools): Promise<void> {
  const [lock, { isLockOutdated }] = await Promise.all([
    readLock(loaded.directory),
    describeDeclared(loaded, tools),
  ]);
  const file = lockPath(loaded.directory);
  const refuse = (message: string): SjsError =>
    new SjsError('LOCK_OUTDATED', message, {
      location: { file },
      next: 'run sjs lock, review the change and commit it',
    });
  if (lock === null) throw refuse(`${file} is not there`);
  if (isLockOutdated) throw refuse(`${file} is not of the base that ${loaded.file} asks for`);
  const other = await findOther(loaded, lock, tools);
  if (other.length === 0) return;
  const more = other.length > SHOWN ? ` and ${other.length - SHOWN} more` : '';
  const { dependencies } = loaded.sandbox;
  const asked =
    dependencies === null ? 'packages that nobody asks for' : `not those of ${dependencies.lockfile}`;
  throw refuse(`the packages of ${file} are ${asked}: ${other.slice(0, SHOWN).join(', ')}${more}`);
}

/**
 * Where the lock has another package than the lockfile, for the platform of it that fits best: of one or all it was made.
 * Throws as {@link choosePackages} when it does so for each.
 */
async function findOther(
  loaded: LoadedSandbox,
  { base, packages }: Lock,
  tools: PackageTools,
): Promise<readonly string[]> {
  const located = await locatePackages(loaded, tools);
  if (located === null) return Object.keys(packages);
  const { files, dependencies, isOwnAddress } = located;
  let fits: readonly string[] | null = null;
  let refusal: SjsError | null = null;
  for (const name of Object.keys(base.manifests)) {
    try {
      const platform = packagePlatform(parsePlatform(name), base.version);
      const lines = formatLockLines(
        choosePackages(files, dependencies.omit, platform, isOwnAddress).packages,
      );
      const places = Object.keys(sortKeys({ ...packages, ...lines }));
      const other = places.filter((place) => packages[place] !== lines[place]);
      if (fits === null || other.length < fits.length) fits = other;
    } catch (error) {
      // What no build of one platform would take, one of another may.
      if (!(error instanceof SjsError) || !error.code.startsWith('LOCKFILE_')) throw error;
      refusal ??= error;
    }
  }
  if (fits !== null) return fits;
  throw refusal ?? new SjsError('INTERNAL', 'a lock is of no platform');
}

function parsePlatform(name: string): Platform {
  const [os = '', architecture = ''] = name.split('/');
  return { os, architecture };
}
