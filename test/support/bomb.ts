import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Digest } from '../../src/model/digest.js';

const PIECE = 64 * 1024 ** 2;

/** A small archive of one large file of zeros, and what it is uncompressed: the same compressed piece again and again. */
export interface Bomb {
  readonly archive: Buffer;
  /** Of the tar. */
  readonly digest: Digest;
  readonly bytes: number;
}

/** @param atLeast the size of its file, in bytes; it comes out larger */
export function makeBomb(name: string, atLeast: number): Bomb {
  const count = Math.floor(atLeast / PIECE) + 1;
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write(`${(count * PIECE).toString(8).padStart(11, '0')}\0`, 124);
  header.write('ustar\x0000', 257);
  header.write('0', 156);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const zeros = Buffer.alloc(PIECE);
  const end = Buffer.alloc(1024);
  const hash = createHash('sha256').update(header);
  for (let at = 0; at < count; at += 1) hash.update(zeros);
  const piece = gzipSync(zeros, { level: 9 });
  return {
    archive: Buffer.concat([gzipSync(header), ...Array.from({ length: count }, () => piece), gzipSync(end)]),
    digest: `sha256:${hash.update(end).digest('hex')}`,
    bytes: header.length + count * PIECE + end.length,
  };
}
