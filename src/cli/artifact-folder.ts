import { createWriteStream } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SjsError } from '../index.js';

/** git obeys what it finds there, and prompts of shells ask git in every folder they come to. */
const isGitFolder = (part: string): boolean => /^\.git$/i.test(part);

/** Writes one file of /out. */
export type ArtifactWriter = (path: string, content: AsyncIterable<Uint8Array>) => Promise<void>;

/**
 * Makes a folder ready for the files of /out: new, or empty. Their paths come from untrusted code, so each is checked
 * again here, and no file is ever replaced.
 * @throws SjsError `USAGE` for a folder that has something in it.
 */
export async function prepareArtifactFolder(directory: string): Promise<ArtifactWriter> {
  const folder = resolve(directory);
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length > 0)
      throw new SjsError('USAGE', `--out ${directory} is not empty`, {
        next: 'name a folder that is empty or not there yet: nothing is written over',
      });
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    throw new SjsError('USAGE', `--out ${directory} cannot be used as a folder`, { cause });
  }
  return async (path, content) => {
    const file = join(folder, checkArtifactPath(path));
    if (path.includes('\\')) {
      throw new SjsError(
        'STORE_FAILED',
        `${JSON.stringify(path)} is not written out: elsewhere it would be a folder`,
        {
          next: 'it is kept with the run; let the program name the file otherwise',
        },
      );
    }
    if (path.split('/').some(isGitFolder)) {
      throw new SjsError('STORE_FAILED', `${JSON.stringify(path)} is not written out: git would obey it`, {
        next: 'it is kept with the run; let the program name the folder otherwise',
      });
    }
    try {
      await mkdir(dirname(file), { recursive: true });
      await pipeline(content, createWriteStream(file, { flags: 'wx' }));
    } catch (cause) {
      throw new SjsError('STORE_FAILED', `${file} cannot be written`, { cause });
    }
  };
}

/** The path below /out, if it stays below. Throws `ENGINE_FAILED`: whoever collected it should have refused it. */
function checkArtifactPath(path: string): string {
  const parts = path.split('/');
  if (!path.includes('\0') && !parts.some((part) => ['', '.', '..'].includes(part))) {
    return path;
  }
  throw new SjsError('ENGINE_FAILED', `the file ${JSON.stringify(path)} of /out has a path that leaves it`);
}
