import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { VerifiedBase } from '../../model/base.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { flattenLeaves } from '../../model/flatten.js';
import { parseLock, sortKeys, type Lock } from '../../model/lock.js';
import { formatRepository } from '../../model/reference.js';
import { FORMAT_VERSION } from '../../model/sealed-image.js';

/** Twice the lockfile that its packages come from: whatever that has, fits. */
const LARGEST = 32 * 1024 ** 2;

/** Path of the lock beside a sandbox.yaml. */
export function lockPath(directory: string): string {
  return join(directory, 'sandbox.lock');
}

/**
 * The lock of a folder, or null when there is none.
 * @throws SjsError `LOCK_INVALID` for one that cannot be understood: it is never ignored.
 */
export async function readLock(directory: string): Promise<Lock | null> {
  const file = lockPath(directory);
  let text: string;
  try {
    text = await readBounded(file);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return null;
    throw new SjsError('LOCK_INVALID', `${file} cannot be read`, {
      cause,
      next: 'restore it from git, or remove it and run sjs lock',
    });
  }
  const lock = parseLock(text);
  if ('problem' in lock) {
    throw new SjsError('LOCK_INVALID', `${file} is not a lock of this sjs (lockVersion 1): ${lock.problem}`, {
      location: { file },
      next: 'restore it from git, or remove it and run sjs lock',
    });
  }
  return lock;
}

/** A lock comes from a repository: no link is followed, no pipe waited for, no device read. */
async function readBounded(file: string): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || stats.size > LARGEST) throw new Error('not a plain file of at most 32 MiB');
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/**
 * The lock that a verified base, a template and the packages lead to. Other platforms' digests of the same base are
 * kept.
 */
export function createLock(
  base: VerifiedBase,
  template: Lock['template'],
  packages: Lock['packages'],
  previous: Lock | null,
): Lock {
  const { os, architecture, variant } = base.platform;
  const platform = [os, architecture, variant].filter(Boolean).join('/');
  const same = previous?.base.digest === base.digest;
  return {
    lockVersion: 1,
    formatVersion: FORMAT_VERSION,
    base: {
      image: formatRepository(base.repository),
      version: base.signedVersion,
      digest: base.digest,
      manifests: sortKeys({ ...(same && previous.base.manifests), [platform]: base.manifestDigest }),
      signer: base.signature.signer,
    },
    template,
    packages,
  };
}

/** One thing in which two locks differ. */
export interface LockChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** What writing the new lock would change, field by field; empty when nothing. */
export function compareLocks(previous: Lock | null, next: Lock): readonly LockChange[] {
  const [before, after] = [flattenLeaves(previous ?? {}), flattenLeaves(next)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((field) => canonicalJson(before.get(field) ?? null) !== canonicalJson(after.get(field) ?? null))
    .map((field) => ({ field, from: before.get(field) ?? null, to: after.get(field) ?? null }));
}

/** The text of a lock. */
export const formatLock = (lock: Lock): string => `${JSON.stringify(lock, null, 2)}\n`;

/** Writes the lock, whole or not at all. */
export async function writeLock(directory: string, lock: Lock): Promise<void> {
  const file = lockPath(directory);
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.writeFile(formatLock(lock));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    if (isErrno(cause, 'ENOSPC', 'EDQUOT')) {
      throw new SjsError('DISK_FULL', `the disk is full: ${file} cannot be written`, {
        cause,
        next: 'free some space there, then run the command again',
      });
    }
    throw new SjsError('STORE_FAILED', `${file} cannot be written`, {
      cause,
      next: 'make the folder of sandbox.yaml writable: the lock belongs beside it',
    });
  }
}
