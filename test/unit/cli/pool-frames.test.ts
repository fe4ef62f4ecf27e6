import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  createRoom,
  encodeFrame,
  MOST_BODY_BYTES,
  readFrames,
  type Frame,
} from '../../../src/cli/pool-frames.js';

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}
async function readAll(bytes: Buffer, size = bytes.length): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  for await (const { type, body } of readFrames(pieces(bytes, size)))
    frames.push({ type, body: Buffer.from(body) });
  return frames;
}

describe('frames', () => {
  test('come out as they went in, however they are cut', async () => {
    const types = fc.constantFrom('hello', 'stdin', 'stdin-end', 'stdout', 'done', 'took');
    const frame = fc.tuple(types, fc.uint8Array({ maxLength: 300 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 8 }),
        fc.integer({ min: 1, max: 700 }),
        async (given, size) => {
          const bytes = Buffer.concat(given.map(([type, body]) => encodeFrame(type, body)));
          const found = await readAll(bytes, size);
          expect(found).toEqual(given.map(([type, body]) => ({ type, body: Buffer.from(body) })));
        },
      ),
    );
  });

  test('that are cut off are none, and what is no frame is refused', async () => {
    const whole = encodeFrame('stdout', 'whole');
    expect(await readAll(Buffer.concat([whole, whole.subarray(0, 7)]))).toHaveLength(1);
    await expect(readAll(Buffer.from('GET / HTTP/1.1'))).rejects.toThrow('no frame');
  });

  test('that say they are longer than any is are refused before they have come', async () => {
    const head = encodeFrame('stdin');
    head.writeUInt32BE(MOST_BODY_BYTES + 1, 1);
    await expect(readAll(head)).rejects.toThrow('no frame');
    head.writeUInt32BE(MOST_BODY_BYTES, 1);
    expect(await readAll(head)).toEqual([]);
  });
});

describe('the room of a stream', () => {
  test('is a quarter of a megabyte, and more when it was taken', async () => {
    const room = createRoom();
    let sent = 0;
    const sending = room.send(Buffer.alloc(1024 ** 2), (piece) => (sent += piece.length));
    const settled = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
    await settled();
    expect(sent).toBe(256 * 1024);
    room.took(1);
    await settled();
    // A piece goes as a whole once there is any room.
    expect(sent).toBe(320 * 1024);
    room.took(1024 ** 2);
    await sending;
    expect(sent).toBe(1024 ** 2);
  });

  test('keeps the order of what waits, and lets go of all when nobody takes it', async () => {
    const room = createRoom();
    const sent: number[] = [];
    const sending = [1, 2, 3].map((value) =>
      room.send(Buffer.alloc(200 * 1024, value), (piece) => sent.push(piece[0] as number)),
    );
    room.took(1024 ** 2);
    await Promise.all(sending);
    expect(sent).toEqual([...sent].sort());
    const stuck = createRoom();
    const waiting = stuck.send(Buffer.alloc(1024 ** 2), () => undefined);
    stuck.close();
    await waiting;
  });
});
