import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, realpath, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { WritablePolicy } from '../../ports/writable-policy.js';
import { takeLock } from './lock.js';

/** A policy as a file on disk. */
export function createPolicyFile(path: string): WritablePolicy {
  return {
    path,
    async change(change) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
        throw unwritable(path, cause);
      });
      // A policy kept elsewhere (dotfiles) stays a link to there.
      const target = await realpath(path).catch(() => path);
      // Two at once would each write what the other has not read.
      const release = await takeLock(`${target}.lock`).catch((cause: unknown) => {
        throw isErrno(cause, 'EEXIST') ? locked(target, cause) : unwritable(target, cause);
      });
      try {
        const before = await read(target);
        const after = change(before, target);
        if (after === before) return false;
        await replace(target, after, before === null);
        return true;
      } finally {
        await release();
      }
    },
  };
}

async function read(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return null;
    throw new SjsError('POLICY_UNREADABLE', `${file} cannot be read`, {
      cause: error,
      next: 'make it readable for you',
    });
  });
}

/** The file as a whole, with the mode that it had. */
async function replace(file: string, text: string, isNew: boolean): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const mode = isNew ? 0o600 : (await stat(file)).mode & 0o777;
    await writeFile(temporary, text, { flag: 'wx', mode: 0o600 });
    await chmod(temporary, mode);
    await rename(temporary, file);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw unwritable(file, cause);
  }
}

function locked(file: string, cause: unknown): SjsError {
  return new SjsError('POLICY_UNREADABLE', `another sjs has been writing ${file} for long`, {
    cause,
    next: `wait for it; if none runs, remove ${file}.lock`,
  });
}

function unwritable(file: string, cause: unknown): SjsError {
  return new SjsError('POLICY_UNREADABLE', `${file} cannot be written`, {
    cause,
    next: 'choose another file with --policy or SJS_POLICY',
  });
}
