import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
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

/** The text of a file of at most so many bytes; null when it has more. */
export async function readText({ bytes, content }: ArchiveFile, mostBytes: number): Promise<string | null> {
  if (bytes > mostBytes) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Writes a stream to a file, whole or not at all; what was there under that name is replaced.
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
