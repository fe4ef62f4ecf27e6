import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { isErrno, SjsError } from '../../errors.js';
import type { Digest } from '../../model/digest.js';
import { uncompress } from '../../model/uncompress.js';
import { IMAGE_MS, type DockerClient } from './client.js';

/**
 * Hands over one layer of an image as an uncompressed tar, from a temporary file. Nothing of the image runs and no
 * container is made; the bytes are those that the diff ID names, so that what a seal covers proves them.
 * @throws SjsError `ENGINE_FAILED` when the engine does not have the layer.
 */
export async function withLayer<T>(
  client: DockerClient,
  imageId: string,
  diffId: Digest,
  others: readonly Digest[],
  use: (openTar: () => Readable) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-layer-'));
  const file = join(folder, 'layer.tar');
  try {
    const found = await client.call(
      'save the image',
      IMAGE_MS,
      async (abortSignal) => {
        const archive = (await client.docker.getImage(imageId).get()) as Readable;
        return findLayer(addAbortSignal(abortSignal, archive), diffId, others, file);
      },
      signal,
    );
    if (!found) throw new SjsError('ENGINE_FAILED', `the engine does not hand over the layer ${diffId}`);
    return await use(() => createReadStream(file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Writes the layer of that diff ID to a file; false when the archive has none. An engine names layers by their diff ID,
 * or keeps them compressed under another digest: only the content says which is which.
 */
export async function findLayer(
  archive: Readable,
  diffId: Digest,
  others: readonly Digest[],
  file: string,
): Promise<boolean> {
  const entries = extract();
  archive.on('error', (error) => entries.destroy(error));
  archive.pipe(entries);
  try {
    for await (const entry of entries) {
      const { name, type } = entry.header;
      const isOther = others.some((other) => name.endsWith(other.slice('sha256:'.length)));
      if (type === 'file' && !isOther && (await spool(entry as AsyncIterable<Uint8Array>, file)) === diffId)
        return true;
      entry.resume();
    }
    return false;
  } finally {
    archive.destroy();
  }
}

/** An entry that stays when it is left: one that is ended takes the archive with it, and what comes behind. */
function withoutEnd(entry: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => {
      const pieces = entry[Symbol.asyncIterator]();
      return { next: () => pieces.next() };
    },
  };
}

/** Writes an entry, uncompressed, and returns the digest of that. */
async function spool(entry: AsyncIterable<Uint8Array>, file: string): Promise<Digest | null> {
  const hash = createHash('sha256');
  const handle = await open(file, 'w', 0o600);
  try {
    for await (const chunk of uncompress(withoutEnd(entry))) {
      hash.update(chunk);
      await handle.write(chunk);
    }
    return `sha256:${hash.digest('hex')}`;
  } catch (cause) {
    if (isErrno(cause, 'ENOSPC', 'EDQUOT')) {
      throw new SjsError('DISK_FULL', `the disk is full: no layer can be written to ${tmpdir()}`, {
        cause,
        next: 'free some space there, or set TMPDIR to another folder',
      });
    }
    // What begins like a compressed layer and is none is not the one that is looked for.
    if (isErrno(cause, 'Z_DATA_ERROR', 'Z_BUF_ERROR')) return null;
    throw cause;
  } finally {
    await handle.close();
  }
}
