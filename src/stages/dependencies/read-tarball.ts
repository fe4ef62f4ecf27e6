import type { Writable } from 'node:stream';
import { extract, type Header } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { showName } from '../../model/clean-text.js';
import { PACKAGE_LIMITS, type LockedPackage } from '../../model/locked-package.js';
import { formatBytes } from '../../model/quantity.js';
import { hasUnprintable } from '../../model/sandbox.js';
import { isWhiteout } from '../../model/whiteout.js';
import { NAME_BYTES, SOURCE_LIMITS } from '../../model/source-tree.js';
import { drained, uncompress } from '../../model/uncompress.js';
import { refused, unpacksTooMuch } from './refused.js';

/** A file of a tarball. */
export interface TarballFile {
  /** Below the package's own folder. */
  readonly path: string;
  readonly bytes: number;
  readonly isExecutable: boolean;
  readonly content: AsyncIterable<Uint8Array>;
}

/** How much may still come out of the tarballs of one image. */
export interface Allowance {
  bytes: number;
}

/**
 * The files of a package, as npm unpacks them: without the first folder of each path. Nothing is written. All of the
 * tarball is read, so that whoever checks its bytes comes to their end.
 * @throws SjsError `PACKAGE_REFUSED` for what no package has, `PACKAGE_TOO_LARGE`
 */
export async function* readTarball(
  wanted: LockedPackage,
  tarball: AsyncIterable<Uint8Array>,
  allowance: Allowance,
): AsyncGenerator<TarballFile> {
  const archive = extract();
  const feeding = feed(tarball, archive, wanted, allowance);
  // Heard through the archive, which it destroys.
  feeding.catch(() => undefined);
  const seenIgnores = new Set<string>();
  try {
    for await (const entry of archive) {
      const { type, size = 0, mode = 0 } = entry.header;
      const path = placeOf(entry.header, wanted);
      if (type === 'directory' || path === '') {
        entry.resume();
        continue;
      }
      if (type !== 'file' && type !== 'contiguous-file')
        throw refused(wanted, `${showName(entry.header.name)} is a ${type}`);
      const name = renameIgnore(path, seenIgnores);
      if (name === null) {
        entry.resume();
        continue;
      }
      const content = entry as AsyncIterable<Uint8Array>;
      yield { path: name, bytes: size, isExecutable: (mode & 0o111) !== 0, content };
      entry.resume();
    }
    await feeding;
  } catch (cause) {
    throw cause instanceof SjsError ? cause : refused(wanted, 'it cannot be read as an archive', cause);
  } finally {
    archive.destroy();
    await feeding.catch(() => undefined);
  }
}

/** Unpacks (npm takes tarballs that are not compressed too), and stops at the allowance: of a bomb no more than that is made. */
async function feed(
  tarball: AsyncIterable<Uint8Array>,
  archive: ReturnType<typeof extract>,
  wanted: LockedPackage,
  allowance: Allowance,
): Promise<void> {
  try {
    for await (const chunk of uncompress(tarball)) {
      if ((allowance.bytes -= chunk.length) < 0) {
        throw unpacksTooMuch(wanted, formatBytes(PACKAGE_LIMITS.bytes));
      }
      if (!archive.write(chunk)) await drained(archive as unknown as Writable);
      if ((archive as unknown as Writable).destroyed) return;
    }
    archive.end(undefined);
  } catch (error) {
    archive.destroy(error as Error);
    throw error;
  }
}

/** The path below the package's folder; '' for that folder, and for what lies beside it and npm drops. */
function placeOf({ name, type }: Header, wanted: LockedPackage): string {
  const parts = name
    .split('/')
    .slice(1)
    .filter((part) => part !== '' && part !== '.');
  const path = parts.join('/');
  const isWrong =
    name.startsWith('/') ||
    name.includes('\0') ||
    name.includes('\\') ||
    hasUnprintable(name) ||
    name.split('/').includes('..') ||
    parts.some(isWhiteout) ||
    parts.some((part) => Buffer.byteLength(part) > NAME_BYTES) ||
    Buffer.byteLength(path) > SOURCE_LIMITS.pathBytes ||
    parts.length > SOURCE_LIMITS.depth;
  if (isWrong) throw refused(wanted, `it has the name ${showName(name)}`);
  if (type === 'symlink' || type === 'link') throw refused(wanted, `${showName(name)} is a link`);
  return path;
}

/** A .gitignore becomes .npmignore, unless there is one before it (pacote). */
function renameIgnore(path: string, seen: Set<string>): string | null {
  if (/(?:^|\/)\.npmignore$/.test(path)) seen.add(path);
  if (!/(?:^|\/)\.gitignore$/.test(path)) return path;
  const renamed = path.replace(/\.gitignore$/, '.npmignore');
  return seen.has(renamed) ? null : renamed;
}
