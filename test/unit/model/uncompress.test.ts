import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { uncompress } from '../../../src/model/uncompress.js';

const TEXT = Buffer.alloc(3 * 1024 ** 2, 'Some text that repeats. ');
const NOISE = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 2_654_435_761) >>> 24));

async function* inPieces(bytes: Buffer, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}
const read = (bytes: Buffer, size?: number): Promise<Buffer> =>
  buffer(Readable.from(uncompress(inPieces(bytes, size))));

test.each([
  ['gzip', gzipSync(TEXT)],
  ['what it is not', TEXT],
  ['several members', Buffer.concat([gzipSync(TEXT.subarray(0, 5000)), gzipSync(TEXT.subarray(5000))])],
])('of %s all bytes come', async (_what, bytes) => {
  expect((await read(bytes)).equals(TEXT)).toBe(true);
});

test('nothing comes of nothing', async () => {
  expect(await read(Buffer.alloc(0))).toHaveLength(0);
});

test('what is cut short or broken fails, however much is still to come', async () => {
  const whole = gzipSync(NOISE);
  const broken = Buffer.from(whole).fill(0xff, 20, 200);
  await expect(read(whole.subarray(0, whole.length - 20))).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
  // More behind it than any buffer holds: nobody takes that any more, and no drain comes.
  const endless = Buffer.concat([broken, Buffer.alloc(2 * 1024 ** 2, 1)]);
  await expect(read(endless, 300_000)).rejects.toMatchObject({ code: 'Z_DATA_ERROR' });
});

test('what lies behind the archive is read to its end and gives nothing', async () => {
  let pieces = 0;
  const content = async function* (): AsyncGenerator<Uint8Array> {
    yield gzipSync(TEXT);
    for (; pieces < 200; pieces += 1) yield await Promise.resolve(new Uint8Array(64 * 1024));
  };
  expect((await buffer(Readable.from(uncompress(content())))).equals(TEXT)).toBe(true);
  expect(pieces).toBe(200);
});

test('of a content that fails the failure comes', async () => {
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(gzipSync(TEXT).subarray(0, 500));
    throw new Error('lost');
  };
  await expect(buffer(Readable.from(uncompress(failing())))).rejects.toThrow('lost');
});

describe('a content that is left', () => {
  /** Pieces of which it counts how many are asked for, and whether they were ended. */
  const watch = (bytes: Buffer, size: number) => {
    const seen = { pieces: 0, isEnded: false };
    const content = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for await (const piece of inPieces(bytes, size)) {
          seen.pieces += 1;
          yield piece;
          // As from a disk.
          await new Promise(setImmediate);
        }
      } finally {
        seen.isEnded = true;
      }
    };
    return { seen, content: content() };
  };
  const MANY = 1000;
  const noise = Buffer.concat(Array.from({ length: 20 }, () => NOISE));

  test.each([
    ['gzip', gzipSync(noise)],
    ['no gzip', noise],
  ])('is not read on, and is ended: %s', async (_what, bytes) => {
    const { seen, content } = watch(bytes, Math.ceil(bytes.length / MANY));
    for await (const chunk of uncompress(content)) if (chunk.length > 0) break;
    expect(seen.isEnded).toBe(true);
    const pieces = seen.pieces;
    expect(pieces).toBeLessThan(MANY / 2);
    // Whoever reads on in the background gets on by that.
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(seen.pieces).toBe(pieces);
  });

  test('is ended too when it is broken', async () => {
    const bytes = gzipSync(noise).fill(0xff, 20, 5000);
    const { seen, content } = watch(bytes, Math.ceil(bytes.length / MANY));
    await expect(buffer(Readable.from(uncompress(content)))).rejects.toMatchObject({ code: 'Z_DATA_ERROR' });
    expect(seen.isEnded).toBe(true);
    expect(seen.pieces).toBeLessThan(MANY);
  });
});
