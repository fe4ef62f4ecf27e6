import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkExportName, type Answer } from '../../../../src/model/call.js';
import { readAnswer } from '../../../../src/stages/call/read-answer.js';
import { readAnswered } from '../../../../src/stages/call/read-outcome.js';
import { nonceOf } from '../../../../src/stages/call/write-request.js';
import { check, DEADLINE_MS } from '../../../support/property.js';

const ID = '01J00000000000000000000001';
const piece = (type: string, payload: string | Uint8Array, nonce = nonceOf(ID)): Buffer => {
  const bytes = Buffer.from(payload as string);
  return Buffer.concat([
    Buffer.from(`\0sjs${nonce}${type}${bytes.length.toString(16).padStart(4, '0')}`),
    bytes,
  ]);
};

/** What a reader makes of these chunks: the program's output, and the answer. */
async function read(stdout: readonly Uint8Array[], stderr: readonly Uint8Array[] = []) {
  const reader = readAnswer(ID);
  const out = stdout.flatMap((chunk) => reader.stdout(chunk)).map((one) => Buffer.from(one));
  const err = stderr.flatMap((chunk) => reader.stderr(chunk)).map((one) => Buffer.from(one));
  const left = reader.end();
  const isSure = await Promise.race([
    reader.answered.then(() => true),
    new Promise<boolean>((resolve) => setImmediate(() => resolve(false))),
  ]);
  const { answer } = reader;
  return {
    stdout: Buffer.concat([...out, left.stdout]).toString('latin1'),
    stderr: Buffer.concat([...err, left.stderr]).toString('latin1'),
    answer: answer && `${answer.kind} ${Buffer.from(answer.json).toString()}`,
    isSure,
  };
}

const NOTHING = { stdout: '', stderr: '', answer: null, isSure: false };

describe('an answer', () => {
  test.each<[string, Buffer[], Buffer[], object]>([
    ['of one piece', [piece('v', '1')], [piece('e', '')], { answer: 'value 1', isSure: true }],
    ['of several', [piece('p', '[1,'), piece('v', '2]')], [piece('e', '')], { answer: 'value [1,2]', isSure: true }],
    ['that is undefined', [piece('u', '')], [piece('e', '')], { answer: 'undefined ', isSure: true }],
    ['that is an error', [piece('x', '{}')], [piece('e', '')], { answer: 'error {}', isSure: true }],
    ['that stderr did not confirm', [piece('v', '1')], [], { answer: 'value 1' }],
    ['that never came', [], [piece('e', '')], {}],
    ['between output', [Buffer.from('a'), piece('v', '1'), Buffer.from('b')], [Buffer.from('c'), piece('e', ''), Buffer.from('d')], { stdout: 'a', stderr: 'c', answer: 'value 1', isSure: true }],
    ['given twice: the first counts', [piece('v', '1'), piece('x', '2')], [piece('e', '')], { answer: 'value 1', isSure: true }],
    ['that was cut: no part of it is output', [piece('p', '[1,'), piece('v', '2]').subarray(0, -1)], [], {}],
    ['that was cut in its head', [Buffer.from('a'), piece('v', '2').subarray(0, -3)], [], { stdout: 'a' }],
    ['that was cut in its marker', [piece('v', '2').subarray(0, 12)], [], { stdout: piece('v', '2').toString('latin1', 0, 12) }],
    ['on the wrong stream', [piece('e', '')], [piece('v', '1')], { stdout: piece('e', '').toString('latin1'), stderr: piece('v', '1').toString('latin1') }],
  ])('%s', async (_, stdout, stderr, expected) => {
    expect(await read(stdout, stderr)).toEqual({ ...NOTHING, ...expected });
  }); // prettier-ignore

  test.each<[string, Buffer]>([
    ['another nonce', piece('v', '1', '0'.repeat(32))],
    ['the nonce of another run', piece('v', '1', nonceOf('01J00000000000000000000002'))],
    ['no length', Buffer.from(`\0sjs${nonceOf(ID)}vzzzz1`)],
    ['a length that is signed', Buffer.from(`\0sjs${nonceOf(ID)}v-001`)],
    ['a length in other digits', Buffer.from(`\0sjs${nonceOf(ID)}v0x01`)],
    ['an unknown letter', piece('q', '1')],
    ['beginnings', Buffer.from('\0sjs\0\0sjs\0sj')],
  ])('is none with %s: it comes out as it is', async (_, bytes) => {
    const text = bytes.toString('latin1');
    expect(await read([bytes], [bytes])).toEqual({ ...NOTHING, stdout: text, stderr: text });
  });
});

/** What programs may write: anything, and what looks like the beginning of an answer. */
const anything = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom('\0', '\0sjs', `\0sjs${nonceOf(ID).slice(0, 31)}`, '\0sjs'.repeat(9)).map((text) => Buffer.from(text)),
    fc.constant(piece('v', 'false', '0'.repeat(32))),
  ),
  { maxLength: 8 },
); // prettier-ignore
const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 12 });
const cutAt = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const at = [0, ...places.filter((one) => one < bytes.length).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
};

test(
  'what is no answer comes out byte for byte, wherever it is cut; and an answer after it is found',
  () =>
    check(
      fc.asyncProperty(anything, cuts, fc.boolean(), async (parts, places, hasAnswer) => {
        const output = Buffer.concat(parts);
        // Output that ends as a marker begins, followed by one, is output all the same.
        const whole = hasAnswer ? Buffer.concat([output, piece('p', '"a'), piece('v', 'b"')]) : output;
        expect(await read(cutAt(whole, places))).toEqual({
          ...NOTHING,
          stdout: output.toString('latin1'),
          answer: hasAnswer ? 'value "ab"' : null,
        });
      }),
      2000,
    ),
  DEADLINE_MS,
);

test.each<[string, Buffer]>([
  ['beginnings of an answer', Buffer.from(`\0sjs${nonceOf(ID).slice(0, 31)}`.repeat(5_000))],
  ['whole markers', Buffer.from(`\0sjs${nonceOf(ID)}`.repeat(5_000))],
  ['empty parts', Buffer.from(piece('p', '').toString('latin1').repeat(4_000))],
  ['one large part', Buffer.concat(Array<Buffer>(4).fill(piece('p', 'x'.repeat(65_535))))],
])(
  '%s, byte by byte, take time that is linear and no memory',
  (_, bytes) => {
    const reader = readAnswer(ID);
    const begin = process.hrtime.bigint();
    const before = process.memoryUsage();
    for (let at = 0; at < bytes.length; at += 1) reader.stdout(bytes.subarray(at, at + 1));
    const after = process.memoryUsage();
    reader.end();
    // Two million calls take about a second; what is quadratic takes minutes.
    expect(Number(process.hrtime.bigint() - begin) / 1e9).toBeLessThan(60);
    expect(after.rss - before.rss).toBeLessThan(128 * 1024 ** 2);
  },
  120_000,
);

test('an answer that is larger than a call can give is an error that says so, and nothing of it is kept', () => {
  const reader = readAnswer(ID);
  const part = piece('p', 'x'.repeat(65_535));
  const before = process.memoryUsage().rss;
  for (let sent = 0; sent < 64 * 1024 ** 2; sent += 65_535) reader.stdout(part);
  reader.stdout(piece('v', '1'));
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 ** 2);
  const answer = reader.answer as Answer;
  expect(answer.kind).toBe('error');
  expect(readAnswered(answer)).toMatchObject({
    outcome: 'threw',
    error: { name: 'ResultError', message: expect.stringContaining('more than the 16Mi') },
  });
});

test('of an error no more is told than the guest itself would say, whoever wrote it', () => {
  const text = 'x'.repeat(1_000_000);
  const json = Buffer.from(JSON.stringify({ name: text, message: text, stack: text }));
  expect(readAnswered({ kind: 'error', json })).toEqual({
    outcome: 'threw',
    error: { name: text.slice(0, 200), message: text.slice(0, 16_384), stack: text.slice(0, 16_384) },
  });
});

test.each([undefined, 1, {}, [], null, 'x'.repeat(257)])('%j is no name of a function', (name) => {
  expect(() => checkExportName(name)).toThrow('the name of the function');
});
