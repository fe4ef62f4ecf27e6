import type { Writable } from 'node:stream';
import { createGunzip } from 'node:zlib';

const BLOCK = 64 * 1024;

/**
 * The bytes of an archive, uncompressed when it is gzip and as they are when it is not. All that comes is read to its end,
 * what lies behind the compressed archive too. Whoever stops reading ends the content, as does an archive that is broken.
 * @throws Error of zlib (`Z_DATA_ERROR`, `Z_BUF_ERROR`) when it is broken or cut short
 */
export async function* uncompress(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = content[Symbol.asyncIterator]();
  const first = await pieces.next();
  if (first.done === true) return;
  const all = async function* (): AsyncGenerator<Uint8Array> {
    yield first.value;
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
  };
  let isLeft = false;
  try {
    if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
      yield* all();
      return;
    }
    const gunzip = createGunzip({ chunkSize: BLOCK });
    let isOver = false;
    gunzip.once('close', () => (isOver = true));
    const feeding = (async () => {
      for await (const piece of all()) {
        if (isLeft) return;
        if (!isOver && !gunzip.write(piece)) await drained(gunzip);
      }
      gunzip.end();
    })();
    feeding.catch((error: unknown) => gunzip.destroy(error as Error));
    yield* gunzip as AsyncIterable<Uint8Array>;
    await feeding;
  } finally {
    isLeft = true;
    await pieces.return?.();
  }
}

/** When a stream takes more. Ends too when nobody reads any more, or did before: then no event comes. */
export function drained(stream: Pick<Writable, 'on' | 'off' | 'destroyed'>): Promise<void> {
  return new Promise((done) => {
    if (stream.destroyed) return done();
    const settle = (): void => {
      for (const event of ['drain', 'close']) stream.off(event, settle);
      done();
    };
    for (const event of ['drain', 'close']) stream.on(event, settle);
  });
}
