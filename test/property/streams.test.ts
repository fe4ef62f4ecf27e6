import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SjsError } from '../../src/errors.js';
import { readBuild, readPull } from '../../src/adapters/docker/build-progress.js';
import { readCollectorFrames } from '../../src/adapters/docker/collector-frames.js';
import { demux } from '../../src/adapters/docker/demux.js';
import { pumpOutput } from '../../src/adapters/docker/pump.js';
import { anyJson, anyText, attemptAsync, check, cutBytes, DEADLINE_MS, toJson } from '../support/property.js';

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

const bytes = fc.uint8Array({ maxLength: 24 });
const cuts = fc.array(fc.nat(), { maxLength: 8 });
const frames = fc.array(
  fc.record({ stream: fc.constantFrom('stdout' as const, 'stderr' as const), data: bytes }),
  { maxLength: 6 },
);
type Frame = { readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array };

function encode(list: readonly Frame[]): Buffer {
  return Buffer.concat(
    list.flatMap(({ stream, data }) => {
      const header = Buffer.from([stream === 'stdout' ? 1 : 2, 0, 0, 0, 0, 0, 0, 0]);
      header.writeUInt32BE(data.length, 4);
      return [header, data];
    }),
  );
}

const contentOf = (list: readonly Frame[], stream: Frame['stream']): Buffer =>
  Buffer.concat(list.filter((one) => one.stream === stream).map(({ data }) => data));

/** Copies: pieces are slices of what came in. */
async function split(chunks: readonly Uint8Array[]): Promise<Frame[]> {
  const found: Frame[] = [];
  for await (const { stream, data } of demux(chunksOf(chunks)))
    found.push({ stream, data: Buffer.from(data) });
  return found;
}

/** Order over both streams, however a frame was cut. */
const joined = (list: readonly Frame[]): string => {
  let text = '';
  let last = '';
  for (const { stream, data } of list) {
    if (data.length === 0) continue;
    if (stream !== last) text += `|${stream}:`;
    text += Buffer.from(data).toString('hex');
    last = stream;
  }
  return text;
};

test(
  'frames cut anywhere give the same bytes in the same order',
  () =>
    check(
      fc.asyncProperty(frames, cuts, async (list, places) => {
        assert.equal(joined(await split(cutBytes(encode(list), places))), joined(list));
      }),
    ),
  DEADLINE_MS,
);

test(
  'any other bytes give what was whole and then ENGINE_FAILED, with nothing kept back',
  () =>
    check(
      fc.asyncProperty(frames, cuts, bytes, fc.nat(), async (list, places, junk, end) => {
        const whole = encode(list);
        const broken = Buffer.concat([whole.subarray(0, end % (whole.length + 1)), junk]);
        const chunks = cutBytes(broken, places);
        let delivered = 0;
        let held = 0;
        const found = await attemptAsync(async () => {
          for await (const { data } of demux(chunksOf(chunks))) {
            delivered += data.length;
            held = Math.max(held, data.length);
          }
        });
        if (found instanceof SjsError) assert.equal(found.code, 'ENGINE_FAILED');
        assert.ok(delivered <= broken.length, `${delivered} bytes`);
        assert.ok(held <= Math.max(0, ...chunks.map((chunk) => chunk.length)), `${held} bytes`);
      }),
    ),
  DEADLINE_MS,
);

test(
  'output is cut to the byte at its limit, and says on which stream',
  () =>
    check(
      fc.asyncProperty(frames, cuts, fc.nat(80), async (list, places, limit) => {
        const found: Frame[] = [];
        const take = (stream: Frame['stream']) => (data: Uint8Array) => {
          found.push({ stream, data: Buffer.from(data) });
          return Promise.resolve();
        };
        let limits = 0;
        const streams = { onStdout: take('stdout'), onStderr: take('stderr') };
        const pump = pumpOutput(
          chunksOf(cutBytes(encode(list), places)),
          limit,
          streams,
          () => (limits += 1),
        );
        await pump.done;
        let left = limit;
        const expected = list.map(({ stream, data }) => {
          const part = data.subarray(0, left);
          left -= part.length;
          return { stream, data: part };
        });
        assert.equal(joined(found), joined(expected));
        const isCut = list.reduce((sum, { data }) => sum + data.length, 0) > limit;
        assert.deepEqual(
          [limits, pump.truncated.stdout || pump.truncated.stderr],
          isCut ? [1, true] : [0, false],
        );
        for (const stream of ['stdout', 'stderr'] as const)
          if (!pump.truncated[stream] && !isCut)
            assert.deepEqual(contentOf(found, stream), contentOf(list, stream));
      }),
    ),
  DEADLINE_MS,
);

/** A frame of the collector: a header, and the bytes behind it. */
const frame = (header: Uint8Array, content: Uint8Array = new Uint8Array(0)): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, content]);
};
const jsonFrame = (value: unknown, content?: Uint8Array): Buffer =>
  frame(Buffer.from(toJson(value)), content);

async function collect(chunks: readonly Uint8Array[], limits = { bytes: 1000, files: 8 }) {
  const files = new Map<string, string>();
  const skipped: string[] = [];
  const failure = await attemptAsync(() =>
    readCollectorFrames(chunksOf(chunks), limits, {
      onArtifact: async (path, _size, content) => {
        const parts: Uint8Array[] = [];
        for await (const part of content) parts.push(Buffer.from(part));
        files.set(path, Buffer.concat(parts).toString('hex'));
      },
      onSkippedArtifact: (path, reason) => void skipped.push(path, reason),
    }),
  );
  return { files, skipped, failure };
}

const fileName = fc
  .array(
    fc.stringMatching(/^[a-z0-9 é._-]{1,6}$/).filter((name) => !/^\.\.?$/.test(name)),
    { minLength: 1, maxLength: 3 },
  )
  .map((parts) => parts.join('/'));

test(
  'files of /out come out as they were, wherever the answer is cut',
  () =>
    check(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(fileName, bytes), { maxLength: 5, selector: ([name]) => name }),
        cuts,
        async (list, places) => {
          const sent = list.map(([path, content]) => jsonFrame({ path, bytes: content.length }, content));
          const { files, failure } = await collect(
            cutBytes(Buffer.concat([...sent, jsonFrame({ end: true })]), places),
          );
          assert.equal(failure, undefined);
          assert.deepEqual(
            [...files],
            list.map(([path, content]) => [path, Buffer.from(content).toString('hex')]),
          );
        },
      ),
    ),
  DEADLINE_MS,
);

test(
  'any other answer about /out is ENGINE_FAILED, and no path leaves it',
  () => {
    const path = fc.oneof(
      fileName,
      anyText,
      fc.constantFrom('../x', '/etc/x', 'a/../b', 'a//b', './a', 'a/', '\\x', 'a\0b'),
    );
    const header = fc.oneof(
      anyJson,
      fc.record({ path, bytes: fc.oneof(fc.nat(30), anyJson) }),
      fc.record({ skip: path, reason: fc.oneof(anyText, anyJson) }),
      fc.constant({ end: true }),
    );
    const piece = fc.oneof(
      fc.tuple(header, bytes).map(([value, content]) => jsonFrame(value, content)),
      fc
        .tuple(path, bytes)
        .map(([name, content]) => jsonFrame({ path: name, bytes: content.length }, content)),
      bytes.map((content) => Buffer.from(content)),
    );
    return check(
      fc.asyncProperty(fc.array(piece, { maxLength: 5 }), cuts, async (pieces, places) => {
        const { files, skipped, failure } = await collect(cutBytes(Buffer.concat(pieces), places), {
          bytes: 60,
          files: 3,
        });
        if (failure !== undefined) assert.equal(failure.code, 'ENGINE_FAILED');
        for (const name of files.keys()) {
          assert.deepEqual(
            name.split('/').filter((part) => ['', '.', '..'].includes(part)),
            [],
          );
          assert.doesNotMatch(name, /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]/u);
        }
        assert.doesNotMatch(skipped.join(''), /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]/u);
        assert.ok([...files.values()].join('').length / 2 <= 60);
        assert.ok(files.size + skipped.length / 2 <= 4, `${files.size} files, ${skipped.length / 2} skipped`);
      }),
    );
  },
  DEADLINE_MS,
);

test(
  'whatever the engine says of a build or a pull is an id, nothing, or a failure with a code of its own',
  () => {
    const id = `sha256:${'a'.repeat(64)}`;
    const message = fc.oneof(
      anyJson,
      fc.record({
        id: fc.constant('moby.image.id'),
        aux: fc.oneof(anyJson, fc.record({ ID: fc.oneof(fc.constant(id), anyJson) })),
      }),
      fc.record(
        { stream: anyJson, status: anyJson, id: anyJson, error: anyJson, errorDetail: anyJson },
        { requiredKeys: [] },
      ),
    );
    const line = fc.oneof(message.map(toJson), anyText);
    return check(
      fc.asyncProperty(
        fc.array(line, { maxLength: 4 }),
        cuts,
        fc.constantFrom('\n', '\r\n'),
        async (lines, places, end) => {
          const words: unknown[] = [];
          const open = (): Readable =>
            Readable.from(cutBytes(Buffer.from(lines.join(end)), places), { objectMode: true });
          const built = await attemptAsync(() => readBuild(open(), (text) => void words.push(text)));
          if (built instanceof SjsError) assert.equal(built.code, 'BUILD_FAILED');
          else assert.equal(built, id);
          const pulled = await attemptAsync(() => readPull(open(), 'x', (text) => void words.push(text)));
          if (pulled instanceof SjsError) assert.equal(pulled.code, 'ENGINE_FAILED');
          for (const failure of [built, pulled])
            if (failure instanceof SjsError)
              assert.ok(!failure.message.includes('broke off'), failure.message);
          assert.deepEqual(
            words.filter((text) => typeof text !== 'string'),
            [],
          );
        },
      ),
    );
  },
  DEADLINE_MS,
);
