import { SjsError } from '../errors.js';
import type { LoadedSandbox } from '../model/sandbox.js';
import { lockPath } from '../stages/lock/lock-file.js';
import { describeDeclared, type DeclaredTools } from './describe-declared.js';

/**
 * Checks that sandbox.lock is there and answers what sandbox.yaml, or the policy's default, asks of the base. Neither
 * engine nor registry is asked: whether it is true, a build verifies.
 * @throws SjsError `LOCK_OUTDATED`; `LOCK_INVALID` for a lock that cannot be understood.
 */
export async function checkLock(
  loaded: LoadedSandbox,
  tools: Pick<DeclaredTools, 'loadPolicy' | 'seccompProfile'>,
): Promise<void> {
  const { isLockOutdated } = await describeDeclared(loaded, tools);
  if (!isLockOutdated) return;
  const file = lockPath(loaded.directory);
  throw new SjsError(
    'LOCK_OUTDATED',
    `${file} is not there, or not of the base that ${loaded.file} asks for`,
    {
      location: { file },
      next: 'run sjs lock, review the change and commit it',
    },
  );
}
