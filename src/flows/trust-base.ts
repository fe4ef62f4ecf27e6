import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, realpath, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno, SjsError } from '../errors.js';
import { addTrustedBase } from '../stages/policy/add-trusted-base.js';
import type { ImportedBase } from './import-base.js';

const LOCK_POLL_MS = 50;
const LOCK_STALE_MS = 10_000;

/** Changes the text of a policy; null stands for one that is not there yet. */
type Change = (before: string | null, file: string) => string;

/**
 * Writes the key and the repository of an imported base into a policy file, which is made when it is not there. The
 * rest of the file stays as it is; the file is replaced whole.
 * @throws SjsError `USAGE` for a base that nobody signed; `POLICY_*` for a policy that cannot be extended.
 */
export async function trustBase(imported: ImportedBase, file: string): Promise<void> {
  if (imported.publicKey === null) {
    throw new SjsError('USAGE', 'only a base that was signed can be trusted', {
      next: 'give the key with --sign-key',
    });
  }
  await changePolicy(file, (before, target) => addTrustedBase(before, imported, target));
}

/**
 * Changes a policy file, which is made when it is not there, and replaces it whole; false when nothing was to change.
 * @throws SjsError `POLICY_UNREADABLE`, and what the change throws
 */
export async function changePolicy(file: string, change: Change): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw unwritable(file, cause);
  });
  // A policy kept elsewhere (dotfiles) stays a link to there.
  const target = await realpath(file).catch(() => file);
  return withLock(target, () => extend(target, change));
}

async function extend(file: string, change: Change): Promise<boolean> {
  const before = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return null;
    throw new SjsError('POLICY_UNREADABLE', `${file} cannot be read`, {
      cause: error,
      next: 'make it readable for you',
    });
  });
  const after = change(before, file);
  if (after === before) return false;
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const mode = before === null ? 0o600 : (await stat(file)).mode & 0o777;
    await writeFile(temporary, after, { flag: 'wx', mode: 0o600 });
    await chmod(temporary, mode);
    await rename(temporary, file);
    return true;
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw unwritable(file, cause);
  }
}

/** Two at once would each write what the other has not read. */
async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  for (let waitedMs = 0; ; waitedMs += LOCK_POLL_MS) {
    try {
      await writeFile(lock, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
      break;
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw unwritable(file, cause);
      // The work takes milliseconds: whoever made it is dead.
      const made = await stat(lock).catch(() => null);
      const age = made === null ? 0 : Date.now() - made.mtimeMs;
      if (age > LOCK_STALE_MS) await unlink(lock).catch(() => undefined);
      else if (waitedMs > LOCK_STALE_MS) throw unwritable(file, cause);
      else await delay(LOCK_POLL_MS);
    }
  }
  try {
    return await work();
  } finally {
    await unlink(lock).catch(() => undefined);
  }
}

function unwritable(file: string, cause: unknown): SjsError {
  return new SjsError('POLICY_UNREADABLE', `${file} cannot be written`, {
    cause,
    next: 'choose another file with --policy or SJS_POLICY',
  });
}
