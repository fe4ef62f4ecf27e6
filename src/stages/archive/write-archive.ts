import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { lstat, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, pack } from 'tar-stream';
import { isErrno, SjsError } from '../../errors.js';

/** A file on its way into an archive; the size must be known before. */
export interface ArchiveFile {
  readonly name: string;
  readonly bytes: number;
  readonly content: AsyncIterable<Uint8Array>;
}

/** A file whose content is a text. */
export function textFile(name: string, text: string): ArchiveFile {
  const bytes = Buffer.from(text);
  return { name, bytes: bytes.length, content: pieces(bytes) };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** The files as a tar. */
export function streamArchive(files: AsyncIterable<ArchiveFile>): Readable {
  const archive = pack();
  const write = async (): Promise<void> => {
    for await (const { name, bytes, content } of files) {
      const header = { name, size: bytes, mode: 0o644, mtime: new Date(0) };
      const entry = archive.entry(header);
      await pipeline(content, entry);
    }
    archive.finalize();
  };
  write().catch((error: unknown) => archive.destroy(error as Error));
  return archive as unknown as Readable;
}

/** The regular files of a tar, one after the other; each is to be read before the next one is asked for. */
export async function* readArchive(tar: Readable): AsyncGenerator<ArchiveFile> {
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  try {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      if (type === 'file') yield { name, bytes: size, content: entry as AsyncIterable<Uint8Array> };
      entry.resume();
    }
  } finally {
    tar.destroy();
  }
}

/** The content of a file of at most so many bytes; null when it has more. */
export async function readBytes({ bytes, content }: ArchiveFile, mostBytes: number): Promise<Buffer | null> {
  if (bytes > mostBytes) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * Where a file can be written whole: beside it first, and then in its place. A plain file that is there is replaced; a
 * link, folder, device or pipe is not, and nothing is written through it: somebody else may have put it there.
 * @returns the absolute path
 * @throws SjsError `USAGE`.
 */
export async function findFilePlace(file: string): Promise<string> {
  const place = resolve(file);
  const refuse = (why: string, next: string): SjsError => new SjsError('USAGE', `${file} ${why}`, { next });
  const folder = await stat(dirname(place)).catch(() => null);
  if (!folder?.isDirectory()) {
    throw refuse('is in no folder that is there', 'make the folder, or name a file elsewhere');
  }
  const found = await lstat(place).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  });
  if (found?.isSymbolicLink()) throw refuse('is a link', 'name the file itself that is to be replaced');
  if (found?.isDirectory()) throw refuse('is a folder', 'name a file in it');
  if (found && !found.isFile()) {
    throw refuse('is no plain file', 'name a file: it is written whole or not at all');
  }
  return place;
}

/**
 * Writes a stream to a file, whole or not at all; what was there under that name is replaced.
 * @param file as {@link findFilePlace} gives it
 * @throws SjsError `DISK_FULL`, `STORE_FAILED`; what the stream fails with.
 */
export async function writeWholeFile(stream: Readable, file: string): Promise<void> {
  // A name that nobody can have put a link at.
  const partial = `${file}.${randomBytes(6).toString('hex')}.partial`;
  try {
    await pipeline(stream, createWriteStream(partial, { mode: 0o600, flags: 'wx' }));
    await rename(partial, file);
  } catch (cause) {
    await rm(partial, { force: true });
    if (cause instanceof SjsError) throw cause;
    const isFull = isErrno(cause, 'ENOSPC', 'EDQUOT');
    throw new SjsError(isFull ? 'DISK_FULL' : 'STORE_FAILED', `${file} cannot be written`, { cause });
  }
}
