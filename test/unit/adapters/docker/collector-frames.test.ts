import { describe, expect, test } from '@jest/globals';
import { isArtifactPath, readCollectorFrames } from '../../../../src/adapters/docker/collector-frames.js';

function frame(header: unknown, content: Uint8Array | string = ''): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, Buffer.from(content)]);
}

const END = frame({ end: true });

async function read(data: Uint8Array, limits = { bytes: 100, files: 10 }, size = data.length || 1) {
  const files: Record<string, string> = {};
  const skipped: Record<string, string> = {};
  async function* source() {
    for (let at = 0; at < data.length; at += size) yield await Promise.resolve(data.subarray(at, at + size));
  }
  await readCollectorFrames(source(), limits, {
    onArtifact: async (path, _bytes, content) => {
      files[path] = '';
      for await (const part of content) files[path] += Buffer.from(part).toString();
    },
    onSkippedArtifact: (path, reason) => void (skipped[path] = reason),
  });
  return { files, skipped };
}

const good = Buffer.concat([
  frame({ path: 'a', bytes: 3 }, 'one'),
  frame({ path: 'd/é', bytes: 0 }),
  frame({ skip: 'l\n', reason: 'a symbolic\u001blink' }),
  END,
]);

test.each([1, 3, 1000])('files and skips, in chunks of %d', async (size) => {
  expect(await read(good, undefined, size)).toEqual({
    files: { a: 'one', 'd/é': '' },
    skipped: { 'l\\u000a': 'a symbolic\\u001blink' },
  });
});

test('a name that cannot be shown is skipped, and what follows is read', async () => {
  const data = [frame({ path: 'x\u202ey', bytes: 3 }, 'one'), frame({ path: 'z', bytes: 1 }, '1'), END];
  expect(await read(Buffer.concat(data))).toEqual({
    files: { z: '1' },
    skipped: { 'x\\u202ey': 'its name has characters that cannot be shown' },
  });
});

test('a receiver that stops early does not disturb the next file', async () => {
  const data = Buffer.concat([
    frame({ path: 'a', bytes: 9 }, '123456789'),
    frame({ path: 'b', bytes: 1 }, '1'),
    END,
  ]);
  const seen: string[] = [];
  async function* source() {
    for (const byte of data) yield await Promise.resolve(Uint8Array.of(byte));
  }
  await readCollectorFrames(
    source(),
    { bytes: 100, files: 10 },
    {
      onArtifact: async (path, _bytes, content) => {
        seen.push(path);
        for await (const _part of content) break;
      },
      onSkippedArtifact: () => undefined,
    },
  );
  expect(seen).toEqual(['a', 'b']);
});

describe('refused', () => {
  test.each<[string, Uint8Array]>([
    ['no end', frame({ path: 'a', bytes: 1 }, '1')],
    ['nothing at all', Buffer.alloc(0)],
    ['an end inside a file', frame({ path: 'a', bytes: 5 }, '1')],
    ['a header that is too long', frame('x'.repeat(20_000))],
    ['a header that is not JSON', frame('{')],
    ['a header that is not UTF-8', Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from([255])])],
    ['a header that is null', frame('null')],
    ['a header of an unknown kind', frame({})],
    ['a path out of /out', frame({ path: '../x', bytes: 0 })],
    ['a negative size', frame({ path: 'a', bytes: -1 })],
    ['a size that is no whole number', frame({ path: 'a', bytes: 1.5 })],
    ['more bytes than /out holds', frame({ path: 'a', bytes: 101 })],
    ['a file twice', Buffer.concat([frame({ path: 'a', bytes: 0 }), frame({ path: 'a', bytes: 0 }), END])],
    [
      'too many entries',
      Buffer.concat(Array.from({ length: 12 }, (_, i) => frame({ path: `${i}`, bytes: 0 }))),
    ],
  ])('%s', async (_name, data) => {
    await expect(read(data)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });
});

test.each([
  ['a', true],
  ['a/b.c', true],
  ['', false],
  ['/a', false],
  ['a/', false],
  ['a//b', false],
  ['.', false],
  ['a/../b', false],
  ['a\0', false],
  ['x'.repeat(1025), false],
])('isArtifactPath(%j) is %s', (path, expected) => {
  expect(isArtifactPath(path)).toBe(expected);
});

test('a name that cannot be shown takes no more room than one that can', async () => {
  const path = '\u0001'.repeat(1000);
  const data = Buffer.concat([frame({ path, bytes: 0 }), frame({ skip: path, reason: 'x' }), END]);
  const { skipped } = await read(data);
  expect(Object.keys(skipped).map((name) => name.length <= 1024)).toEqual([true]);
});
