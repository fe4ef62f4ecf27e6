import { lstat, lutimes, readlink, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from '../../errors.js';
import { hexOf, sha256 } from '../../model/digest.js';
import { createTempName, judgeTempOwner } from './temp-name.js';

const POLL_MS = 20;
/** What is done under a lock takes milliseconds; a disk can be slow. */
const PATIENCE_MS = 30_000;

/**
 * Takes the lock of that path, which no other process has then. A link that says who holds it is made at once and whole;
 * one of a process that is dead is taken away.
 * @returns what lets go of it
 * @throws the system's own error; `EEXIST` when another holds it for half a minute
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const mine = await createTempName();
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    try {
      await symlink(mine, path);
      break;
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw cause;
      const dead = await findAbandoned(path);
      if (dead !== null) await takeAway(path, dead);
      else if (waitedMs < PATIENCE_MS) await delay(POLL_MS);
      else throw cause;
    }
  }
  // Another machine knows by its age alone whether somebody still holds it.
  const renewing = setInterval(() => {
    const now = Date.now() / 1000;
    lutimes(path, now, now).catch(() => undefined);
  }, PATIENCE_MS / 6).unref();
  return async () => {
    clearInterval(renewing);
    // Another may have it by now, after a long sleep of this machine.
    if ((await holderOf(path)) === mine) await unlink(path).catch(() => undefined);
  };
}

/**
 * Takes away a lock whose holder is gone. Names of holders come once: whoever has the lock of that name is the only one
 * to take this away, and whoever has it later finds another holder, or none.
 */
async function takeAway(path: string, holder: string): Promise<void> {
  // The name comes from a link, which could hold anything.
  const release = await takeLock(join(dirname(path), `${hexOf(sha256(holder))}.gone`));
  try {
    if ((await holderOf(path)) !== holder) return;
    await unlink(path).catch((cause: unknown) => {
      if (!isErrno(cause, 'ENOENT')) throw cause;
    });
  } finally {
    await release();
  }
}

/** What a lock that is no link says of its holder: an sjs of before links made those. */
const NOBODY = 'a file';

/** Who holds a lock; null when nobody does. */
const holderOf = (path: string): Promise<string | null> =>
  readlink(path).catch((error: unknown) => (isErrno(error, 'EINVAL') ? NOBODY : null));

/** Who holds a lock and is gone: its process is, or, of another boot or machine, it is too old. */
async function findAbandoned(path: string): Promise<string | null> {
  const holder = await holderOf(path);
  // After the name: of a lock that changed hands in between, the age is that of the new one.
  const found = await lstat(path).catch(() => null);
  if (holder === null || found === null) return null;
  const owner = await judgeTempOwner(holder);
  const isOld = Date.now() - found.mtimeMs > PATIENCE_MS;
  return owner === 'dead' || (owner === 'unknown' && isOld) ? holder : null;
}
