import { createWriteStream } from 'node:fs';
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isErrno, SjsError } from '../../errors.js';
import { readSource, type SealedSource } from './read-source.js';

/**
 * Makes a folder that is new, or was empty, for something to be written into.
 * @returns its absolute path
 * @throws SjsError `USAGE` for a folder that has something in it.
 */
export async function makeEmptyFolder(directory: string): Promise<string> {
  const folder = resolve(directory);
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length === 0) return folder;
  } catch (cause) {
    throw new SjsError('USAGE', `${directory} cannot be used as a folder`, { cause });
  }
  throw new SjsError('USAGE', `${directory} is not empty`, { next: 'name a folder that is not there yet' });
}

/** Absolute paths of empty folders. */
export interface SourceFolders {
  readonly app: string;
  /** For the inputs, of which there may be none. */
  readonly in: string;
}

/**
 * Writes a sealed source into empty folders: the entries as they were read before, with the contents of the same tar;
 * what was made of TypeScript files stays behind. Folders come first and links last, so that no path leads through a
 * link; no file is ever replaced.
 */
export async function writeSource(
  folders: SourceFolders,
  { entries, stripped }: SealedSource,
  openTar: () => Readable,
): Promise<void> {
  const git = entries.find(({ path }) => path.split('/').some((part) => /^\.git$/i.test(part)));
  if (git !== undefined) {
    // Prompts of shells ask git in every folder they come to, and git obeys what it finds there.
    throw new SjsError(
      'SEAL_REFUSED',
      `the sealed source has ${git.path} in it: git would obey what it says`,
      {
        next: 'sjs export gives the image itself, with the source as a layer',
      },
    );
  }
  const left = new Set(stripped);
  try {
    for (const { kind, path } of entries) if (kind === 'folder') await mkdir(join(folders.app, path));
    await readSource(openTar(), async (at, path, executable, content) => {
      if (at === '.sjs' || (at === 'app' && left.has(path))) return;
      const file = join(folders[at], path);
      await pipeline(content, createWriteStream(file, { flags: 'wx' }));
      // As it was sealed, whatever the umask is.
      await chmod(file, executable ? 0o755 : 0o644);
    });
    for (const entry of entries)
      if (entry.kind === 'symlink') await symlink(entry.target, join(folders.app, entry.path));
  } catch (cause) {
    throw describeFailure(cause, folders.app);
  }
}

/** Writes one file of the clone's own. */
export async function writeNewFile(file: string, text: string): Promise<void> {
  await writeFile(file, text, { flag: 'wx' }).catch((cause: unknown) => {
    throw describeFailure(cause, file);
  });
}

function describeFailure(cause: unknown, path: string): SjsError {
  if (cause instanceof SjsError) return cause;
  if (isErrno(cause, 'EEXIST')) {
    return new SjsError('SOURCE_COLLISION', `two names of the source are one here, below ${path}`, {
      cause,
      next: 'clone it to a file system that tells upper from lower case',
    });
  }
  const isFull = isErrno(cause, 'ENOSPC', 'EDQUOT');
  return new SjsError(isFull ? 'DISK_FULL' : 'STORE_FAILED', `${path} cannot be written`, { cause });
}
