import { expect, test } from '@jest/globals';
import { inPieces } from '../../../src/model/in-pieces.js';

async function* streamOf(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const [index, size] of sizes.entries()) yield await Promise.resolve(Buffer.alloc(size, index));
}

async function piecesOf(sizes: readonly number[]): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of inPieces(streamOf(sizes))) pieces.push(piece);
  return pieces;
}

test('small pieces come as few large ones, with the same bytes in their order', async () => {
  const sizes = Array.from({ length: 2000 }, (_, index) => (index % 3 === 0 ? 512 : index));
  const pieces = await piecesOf(sizes);
  const whole = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index)));
  expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  expect(pieces.length).toBeLessThan(10);
});

test('of nothing comes nothing, and what is large already is not held back', async () => {
  expect(await piecesOf([])).toEqual([]);
  expect((await piecesOf([1024 ** 2, 1024 ** 2, 1])).map(({ length }) => length)).toEqual([
    1024 ** 2,
    1024 ** 2,
    1,
  ]);
});
