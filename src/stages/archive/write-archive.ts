import { lstat, open, rename, rm } from 'node:fs/promises';
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
 * Writes a stream to a file, whole or not at all; a plain file of that name is replaced. Others may write to the folder:
 * nothing that they have put there is written through.
 * @param word that nobody can foresee, and that no other file has in its name
 * @throws SjsError `DISK_FULL`, `STORE_FAILED`; what the stream fails with.
 */
export async function writeWholeFile(stream: Readable, file: string, word: string): Promise<void> {
  const partial = `${file}.${word}.partial`;
  let isOurs = false;
  try {
    await refuseOtherThanFile(file);
    const handle = await open(partial, 'wx', 0o600);
    isOurs = true;
    await pipeline(stream, handle.createWriteStream());
    await rename(partial, file);
  } catch (cause) {
    stream.destroy();
    if (isOurs) await rm(partial, { force: true });
    if (cause instanceof SjsError) throw cause;
    const isFull = isErrno(cause, 'ENOSPC', 'EDQUOT');
    throw new SjsError(isFull ? 'DISK_FULL' : 'STORE_FAILED', `${file} cannot be written`, { cause });
  }
}

async function refuseOtherThanFile(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  });
  if (!found || found.isFile()) return;
  throw new SjsError('STORE_FAILED', `${path} is there and is no plain file`, {
    next: 'name another file: it is not written to, and not replaced',
  });
}
