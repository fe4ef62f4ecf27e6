import { expect, test } from '@jest/globals';
import { demux, type OutputPiece } from '../../../../src/adapters/docker/demux.js';

function frame(type: number, data: Uint8Array | string): Buffer {
  const body = Buffer.from(data);
  const header = Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}

async function collect(chunks: readonly Uint8Array[]): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const pieces: Record<OutputPiece['stream'], Uint8Array[]> = { stdout: [], stderr: [] };
  async function* source() {
    for (const chunk of chunks) yield await Promise.resolve(chunk);
  }
  for await (const { stream, data } of demux(source())) pieces[stream].push(Buffer.from(data));
  return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) };
}

const disguised = Buffer.from([1, 0, 0, 0, 255, 255, 255, 255]);
const bytes = Buffer.concat([
  frame(1, 'one'),
  frame(2, disguised),
  frame(1, ''),
  frame(1, Buffer.alloc(300, 7)),
  frame(2, 'end'),
]);
const expected = {
  stdout: Buffer.concat([Buffer.from('one'), Buffer.alloc(300, 7)]),
  stderr: Buffer.concat([disguised, Buffer.from('end')]),
};

test('cut at every byte the result is the same', async () => {
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    expect(await collect([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(expected);
  }
});

test.each([1, 2, 3, 7, 8, 9])('in chunks of %d the result is the same', async (size) => {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  expect(await collect(chunks)).toEqual(expected);
});

test('a frame larger than memory is passed on as it comes', async () => {
  const header = Buffer.from([1, 0, 0, 0, 255, 255, 255, 255]);
  async function* source() {
    yield header;
    for (;;) yield await Promise.resolve(Buffer.alloc(1000));
  }
  let seen = 0;
  for await (const { data } of demux(source())) {
    seen += data.length;
    if (seen >= 10_000) break;
  }
  expect(seen).toBe(10_000);
});

test.each([
  ['a type that does not exist', Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 65])],
  ['padding that is not zero', Buffer.from([1, 0, 1, 0, 0, 0, 0, 1, 65])],
  ['an end inside a frame', frame(1, 'abc').subarray(0, 10)],
  ['an end inside a header', frame(1, 'abc').subarray(0, 5)],
])('%s is refused', async (_name, data) => {
  await expect(collect([data])).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
});
