import { expect, test } from '@jest/globals';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { pumpInput, pumpOutput } from '../../../../src/adapters/docker/pump.js';
import { encodeSecretsFrame } from '../../../../src/adapters/docker/secrets-frame.js';

function frame(type: number, text: string): Buffer {
  const header = Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

async function pump(frames: readonly Buffer[], limit: number, markBytes?: () => number) {
  const got = { stdout: '', stderr: '' };
  let limits = 0;
  const output = pumpOutput(
    Readable.from(frames),
    limit,
    {
      onStdout: (chunk) => void (got.stdout += Buffer.from(chunk).toString()),
      onStderr: (chunk) => void (got.stderr += Buffer.from(chunk).toString()),
      ...(markBytes && { markBytes }),
    },
    () => void (limits += 1),
  );
  await output.done;
  return { ...got, limits, truncated: output.truncated };
}

const frames = [frame(1, 'abc'), frame(2, 'de'), frame(1, 'fgh')];

test.each([
  [8, 'abcfgh', 'de', 0, { stdout: false, stderr: false }],
  [7, 'abcfg', 'de', 1, { stdout: true, stderr: false }],
  [5, 'abc', 'de', 1, { stdout: true, stderr: false }],
  [4, 'abc', 'd', 1, { stdout: false, stderr: true }],
  [3, 'abc', '', 1, { stdout: false, stderr: true }],
  [0, '', '', 1, { stdout: true, stderr: false }],
])('a limit of %d bytes over both streams', async (limit, stdout, stderr, limits, truncated) => {
  expect(await pump(frames, limit)).toEqual({ stdout, stderr, limits, truncated });
});

test('marks of sjs’s own count towards no limit, but for a program that writes nothing else', async () => {
  let marks = 0;
  const countMarks = (): number => (marks += 2);
  expect(await pump([frame(1, 'm'.repeat(2)), ...frames], 8, () => 2)).toMatchObject({ limits: 0 });
  expect(await pump([frame(1, 'm'.repeat(2)), ...frames], 8)).toMatchObject({ limits: 1 });
  expect(await pump(Array<Buffer>(2_000).fill(frame(1, 'm')), 8, countMarks)).toMatchObject({ limits: 1 });
});

test('nothing more is read while a receiver is at work', async () => {
  let read = 0;
  async function* source() {
    for (const one of frames) {
      read += 1;
      yield await Promise.resolve(one);
    }
  }
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const output = pumpOutput(
    source(),
    100,
    { onStdout: () => held, onStderr: () => undefined },
    () => undefined,
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(read).toBe(1);
  expect(output.isDelivering()).toBe(true);
  release();
  await output.done;
  expect(read).toBe(3);
  expect(output.isDelivering()).toBe(false);
});

const given = (stdin: Readable) => ({ stdin, onStdin: () => undefined });

test('input: the frame, then every byte, then the end', async () => {
  const socket = new PassThrough();
  const frameBytes = encodeSecretsFrame({ A: 'é' });
  const pumping = pumpInput(socket, frameBytes, given(Readable.from([Buffer.from('x'), 'y'])));
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  await pumping;
  const json = '{"A":"é"}';
  const expected = Buffer.concat([Buffer.from([0, 0, 0, Buffer.byteLength(json)]), Buffer.from(`${json}xy`)]);
  expect(Buffer.concat(chunks)).toEqual(expected);
});

test('a program that goes away ends the input quietly', async () => {
  const socket = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('gone'), { code: 'EPIPE' })),
  });
  const input = new Readable({
    read() {
      this.push(Buffer.alloc(65536));
    },
  });
  await pumpInput(socket, Buffer.alloc(0), given(input));
  expect(input.destroyed).toBe(true);
});

test('a program that never reads does not hold the run when it ends', async () => {
  const socket = new Duplex({ read: () => undefined, write: () => undefined });
  const pumping = pumpInput(
    socket,
    Buffer.alloc(0),
    given(Readable.from(Array<Buffer>(50).fill(Buffer.alloc(65536)))),
  );
  await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await pumping;
});

test('an input that fails is an error', async () => {
  const input = new Readable({
    read() {
      this.destroy(new Error('disk'));
    },
  });
  await expect(pumpInput(new PassThrough(), Buffer.alloc(0), given(input))).rejects.toThrow('disk');
});
