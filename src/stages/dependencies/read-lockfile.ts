import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { LoadedSandbox } from '../../model/sandbox.js';

/** Enough for ten thousand packages. */
const LARGEST = 16 * 1024 ** 2;

/** The two files that say which packages there are. Both come from the author. */
export interface LockedFiles {
  /** Absolute path of the lockfile. */
  readonly file: string;
  readonly lockText: string;
  /** Absolute path of the package.json beside it. */
  readonly manifestFile: string;
  readonly manifestText: string;
}

/** The folder that they may not lead out of, and who says so. */
type Declared = Pick<LoadedSandbox, 'directory'> & Partial<Pick<LoadedSandbox, 'file' | 'locate'>>;

/**
 * Reads the lockfile that a sandbox declares, and the package.json beside it: plain files below the folder of the
 * sandbox.yaml, of at most 16 MiB.
 * @throws SjsError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_TOO_LARGE`, `SOURCE_OUTSIDE`.
 */
export async function readLockfile(loaded: Declared, lockfile: string): Promise<LockedFiles> {
  const file = resolve(loaded.directory, lockfile);
  const manifestFile = join(dirname(file), 'package.json');
  await refuseOutside(loaded, lockfile, file);
  const [lockText, manifestText] = await Promise.all([
    readBounded(file, {
      message: `there is no ${lockfile} in ${loaded.directory}`,
      next: 'run npm install --package-lock-only there, review the file and commit it: nothing is resolved at a build',
    }),
    readBounded(manifestFile, {
      message: `there is no package.json beside ${lockfile}`,
      next: 'put the package.json there that the lockfile was made of',
    }),
  ]);
  return { file, lockText, manifestFile, manifestText };
}

/** A requirements.txt as it was found. */
export interface RequirementsFile {
  /** Absolute. */
  readonly file: string;
  readonly text: string;
}

/** Reads the requirements.txt that a sandbox declares, under the same bounds. Throws as {@link readLockfile}. */
export async function readRequirementsFile(loaded: Declared, lockfile: string): Promise<RequirementsFile> {
  const file = resolve(loaded.directory, lockfile);
  await refuseOutside(loaded, lockfile, file);
  const text = await readBounded(file, {
    message: `there is no ${lockfile} in ${loaded.directory}`,
    next: 'write it with pip-compile --generate-hashes, uv export or poetry export, review it and commit it',
  });
  return { file, text };
}

async function refuseOutside(loaded: Declared, lockfile: string, file: string): Promise<void> {
  const [folder, inside] = await Promise.all([
    realpath(loaded.directory),
    realpath(dirname(file)).catch(() => dirname(file)),
  ]);
  if (!relative(folder, inside).startsWith('..')) return;
  const path = 'spec.dependencies.lockfile';
  throw new SjsError('SOURCE_OUTSIDE', `lockfile ${lockfile} leads outside ${loaded.directory}`, {
    ...(loaded.file !== undefined && { location: { file: loaded.file, ...loaded.locate?.(path), path } }),
    next: 'put the lockfile, and package.json with it, beside or below sandbox.yaml',
  });
}

/** No link is followed, no pipe waited for, no device read. */
async function readBounded(
  file: string,
  missing: { readonly message: string; readonly next: string },
): Promise<string> {
  const location = { file };
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) {
        throw new SjsError('FILE_UNREADABLE', `${file} is not a plain file`, { location });
      }
      if (stats.size > LARGEST) {
        throw new SjsError('FILE_TOO_LARGE', `${file} is larger than 16 MiB`, { location });
      }
      return (await handle.readFile()).subarray(0, LARGEST).toString('utf8');
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    if (isErrno(cause, 'ENOENT', 'ENOTDIR')) {
      throw new SjsError('FILE_NOT_FOUND', missing.message, { location, next: missing.next });
    }
    const why = isErrno(cause, 'ELOOP', 'EMLINK')
      ? 'it is a symbolic link'
      : String((cause as { code?: unknown }).code);
    throw new SjsError('FILE_UNREADABLE', `${file} cannot be read: ${why}`, { cause, location });
  }
}
