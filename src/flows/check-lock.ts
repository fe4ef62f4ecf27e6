import { SjsError } from '../errors.js';
import type { Platform } from '../model/base.js';
import { canonicalJson } from '../model/canonical-json.js';
import type { Lock } from '../model/lock.js';
import { formatLockLines } from '../model/package-list.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { choosePackages } from '../stages/dependencies/choose-packages.js';
import { lockPath, readLock } from '../stages/lock/lock-file.js';
import { describeDeclared, type DeclaredTools } from './describe-declared.js';
import { locatePackages, packagePlatform, type PackageTools } from './provide-packages.js';

/**
 * Checks that sandbox.lock is there, answers what sandbox.yaml, or the policy's default, asks of the base, and has the
 * packages of the lockfile. Neither engine nor registry is asked: whether it is true, a build verifies.
 * @throws SjsError `LOCK_OUTDATED`; `LOCK_INVALID` for a lock that cannot be understood; `LOCKFILE_INVALID` and
 * `LOCKFILE_MISMATCH` as a build.
 */
export async function checkLock(
  loaded: LoadedSandbox,
  tools: Pick<DeclaredTools, 'loadPolicy' | 'seccompProfile'> & PackageTools,
): Promise<void> {
  const [lock, { isLockOutdated }] = await Promise.all([
    readLock(loaded.directory),
    describeDeclared(loaded, tools),
  ]);
  const file = lockPath(loaded.directory);
  if (lock === null) throw outdated(file, `${file} is not there`);
  if (isLockOutdated) throw outdated(file, `${file} is not of the base that ${loaded.file} asks for`);
  if (!(await hasPackages(lock, loaded, tools))) {
    const { dependencies } = loaded.sandbox;
    const asked =
      dependencies === null ? 'packages that nobody asks for' : `not those of ${dependencies.lockfile}`;
    throw outdated(file, `the packages of ${file} are ${asked}`);
  }
}

/** For one of its platforms: which of them it was written on last, a lock does not say. */
async function hasPackages(lock: Lock, loaded: LoadedSandbox, tools: PackageTools): Promise<boolean> {
  const located = await locatePackages(loaded, tools);
  if (located === null) return Object.keys(lock.packages).length === 0;
  const { dependencies, files, isOwnAddress } = located;
  const locked = canonicalJson(lock.packages);
  return Object.keys(lock.base.manifests).some((platform) => {
    const wanted = packagePlatform(parsePlatform(platform), lock.base.version);
    const { packages } = choosePackages(files, dependencies.omit, wanted, isOwnAddress);
    return canonicalJson(formatLockLines(packages)) === locked;
  });
}

function parsePlatform(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

const outdated = (file: string, message: string): SjsError =>
  new SjsError('LOCK_OUTDATED', message, {
    location: { file },
    next: 'run sjs lock, review the change and commit it',
  });
