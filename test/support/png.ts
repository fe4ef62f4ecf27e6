import { inflateSync } from 'node:zlib';

/** A decoded PNG of 8 bits a sample, RGB or RGBA, not interlaced: what browsers write. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of a pixel. */
  at(x: number, y: number): readonly number[];
}

/** Decodes a picture without the code that made it. @throws Error for what is no such PNG. */
export function readPng(bytes: Buffer): Picture {
  if (bytes.toString('latin1', 1, 4) !== 'PNG') throw new Error('no PNG');
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const [depth, colour, interlace] = [bytes[24], bytes[25], bytes[28]];
  if (depth !== 8 || (colour !== 2 && colour !== 6) || interlace !== 0)
    throw new Error('another kind of PNG');
  const data: Buffer[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT')
      data.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  }
  const step = colour === 2 ? 3 : 4;
  const row = width * step;
  const raw = inflateSync(Buffer.concat(data));
  const pixels = Buffer.alloc(row * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (row + 1)];
    for (let x = 0; x < row; x += 1) {
      const at = y * row + x;
      const left = x >= step ? pixels[at - step]! : 0;
      const up = y > 0 ? pixels[at - row]! : 0;
      const corner = x >= step && y > 0 ? pixels[at - row - step]! : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter!]!;
      pixels[at] = raw[y * (row + 1) + 1 + x]! + guess;
    }
  }
  return { width, height, at: (x, y) => [...pixels.subarray(y * row + x * step, y * row + x * step + 3)] };
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const far = [left, up, corner].map((one) => Math.abs(guess - one));
  return far[0]! <= far[1]! && far[0]! <= far[2]! ? left : far[1]! <= far[2]! ? up : corner;
}
