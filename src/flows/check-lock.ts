import { SjsError } from '../errors.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { lockPath, readLock } from '../stages/lock/lock-file.js';
import { describeDeclared, type DeclaredTools } from './describe-declared.js';
import { locatePackages, type PackageTools } from './provide-packages.js';

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
  const located = await locatePackages(loaded, tools);
  const other = located?.findOther(lock) ?? Object.keys(lock.packages);
  if (other.length === 0) return;
  const more = other.length > SHOWN ? ` and ${other.length - SHOWN} more` : '';
  const { dependencies } = loaded.sandbox;
  const asked =
    dependencies === null ? 'packages that nobody asks for' : `not those of ${dependencies.lockfile}`;
  throw refuse(`the packages of ${file} are ${asked}: ${other.slice(0, SHOWN).join(', ')}${more}`);
}
