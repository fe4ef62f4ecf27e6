import { isErrno, SjsError } from '../../errors.js';

const NEXT: Readonly<Record<string, string>> = {
  EACCES: 'give this user access to it, or set SJS_HOME to a folder of your own',
  EPERM: 'give this user access to it, or set SJS_HOME to a folder of your own',
  EROFS: 'mount it writable, or set SJS_HOME to a folder that is',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: 'raise the limit of open files (ulimit -n)',
};

/** The error of our family for what the disk said about a path. An {@link SjsError} stays what it is. */
export function describeStoreError(
  cause: unknown,
  doing: 'read' | 'written' | 'removed',
  path: string,
): SjsError {
  if (cause instanceof SjsError) return cause;
  if (isErrno(cause, 'ENOSPC', 'EDQUOT')) {
    return new SjsError('DISK_FULL', `the disk is full: ${path} cannot be ${doing}`, {
      cause,
      next: 'free some space (sjs prune removes what nothing refers to), then run the command again',
    });
  }
  return new SjsError('STORE_FAILED', `${path} cannot be ${doing}`, {
    cause,
    next:
      NEXT[String((cause as Partial<NodeJS.ErrnoException> | undefined)?.code)] ??
      'check the folder and its disk, or set SJS_HOME to another folder',
  });
}

/** A file of the store that is there and not what it should be. */
export function invalidFile(
  path: string,
  why: string,
  next = 'move the file away and run the command again',
): SjsError {
  return new SjsError('STORE_INVALID', `${path} ${why}`, { next });
}
