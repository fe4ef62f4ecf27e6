import { createHash } from 'node:crypto';
import { createGunzip } from 'node:zlib';
import { SjsError } from '../../errors.js';
import type { Digest } from '../../model/digest.js';

/**
 * Passes a layer on and fails at its end when its uncompressed bytes are not what the diff ID says: an engine that has
 * a layer of that name already would not look.
 * @param expected the diff IDs of the image that this file stands for
 * @throws SjsError `SEAL_MISMATCH`.
 */
export async function* checkLayer(
  content: AsyncIterable<Uint8Array>,
  expected: ReadonlySet<Digest>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let write: (chunk: Uint8Array) => Promise<void> | void = (chunk) => void hash.update(chunk);
  let end = (): Promise<void> => Promise.resolve();
  let isFirst = true;
  for await (const chunk of content) {
    if (isFirst && chunk[0] === 0x1f && chunk[1] === 0x8b) {
      const gunzip = createGunzip();
      const done = (async () => {
        for await (const piece of gunzip as AsyncIterable<Uint8Array>) hash.update(piece);
      })();
      done.catch(() => undefined);
      write = (piece) =>
        gunzip.write(piece)
          ? undefined
          : Promise.race([done, new Promise<void>((resolve) => gunzip.once('drain', () => resolve()))]);
      end = () => {
        gunzip.end();
        return done;
      };
    }
    isFirst = false;
    await write(chunk);
    yield chunk;
  }
  await end().catch((cause: unknown) => {
    throw new SjsError('SEAL_MISMATCH', 'a layer of the image cannot be uncompressed', { cause });
  });
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  if (expected.size === 1 && expected.has(digest)) return;
  throw new SjsError(
    'SEAL_MISMATCH',
    `a layer is ${digest}, and not ${[...expected].join(' and ')} as the seal says`,
    {
      next: 'do not use this file',
    },
  );
}
