import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';

/**
 * Calls with the paths of files of the given texts, which nobody else can read and which are removed afterwards.
 * @throws SjsError `DISK_FULL`, `STORE_FAILED` when they cannot be written; nothing was called then.
 */
export async function withTemporaryFiles<Name extends string, T>(
  texts: Readonly<Record<Name, string>>,
  use: (paths: Readonly<Record<Name, string>>) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-files-')).catch(refuse);
  try {
    const files = Object.entries<string>(texts).map(
      ([name, text]) => [name, join(folder, name), text] as const,
    );
    await Promise.all(files.map(([, path, text]) => writeFile(path, text))).catch(refuse);
    return await use(Object.fromEntries(files.map(([name, path]) => [name, path])) as Record<Name, string>);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function refuse(cause: unknown): never {
  const isFull = isErrno(cause, 'ENOSPC', 'EDQUOT');
  throw new SjsError(
    isFull ? 'DISK_FULL' : 'STORE_FAILED',
    `${isFull ? 'the disk is full: ' : ''}no temporary file can be written in ${tmpdir()}`,
    {
      cause,
      next: `${isFull ? 'free some space there' : 'make it writable'}, or set TMPDIR to another folder`,
    },
  );
}
