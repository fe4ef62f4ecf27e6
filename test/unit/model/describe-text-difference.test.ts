import { expect, test } from '@jest/globals';
import { describeTextDifference } from '../../../src/model/describe-text-difference.js';

const describe = (expected: string | Uint8Array, actual: string | Uint8Array) =>
  describeTextDifference(Buffer.from(expected), Buffer.from(actual));

test('equal outputs have none', () => expect(describe('a\nb\n', 'a\nb\n')).toBe(''));

test.each([
  ['one\ntwo\nthree\n', 'one\n2\nthree\n', 'line 2, byte 1:\n- "two"\n+ "2"'],
  ['a\n', 'a\nb\n', 'line 2, byte 1:\n- (the output ends before this line)\n+ "b"'],
  ['', 'x', 'line 1, byte 1:\n- (the output ends before this line)\n+ "x" (no newline at the end)'],
  ['same\n', 'same', 'line 1, byte 5:\n- "same"\n+ "same" (no newline at the end)'],
  ['a b\n', 'a\tb\n', 'line 1, byte 2:\n- "a b"\n+ "a\\tb"'],
  ['a\n', 'a\r\n', 'line 1, byte 2:\n- "a"\n+ "a\\r"'],
  ['a  \n', 'a \n', 'line 1, byte 3:\n- "a  "\n+ "a "'],
  ['x\n', '\u001b[31mx\n', 'line 1, byte 1:\n- "x"\n+ "\\x1b[31mx"'],
  ['ü\n', 'ö\n', 'line 1, byte 2:\n- "ü"\n+ "ö"'],
])('%j and %j', (expected, actual, text) => expect(describe(expected, actual)).toBe(text));

test('bytes that are no UTF-8 are shown as such', () => {
  expect(describe(Buffer.from([0xff, 0x41]), Buffer.from([0xfe, 0x41]))).toBe(
    'line 1, byte 1:\n- "\\xffA" (no newline at the end)\n+ "\\xfeA" (no newline at the end)',
  );
});

test('of a long line the place is shown, whole characters only', () => {
  const text = describe(`${'é'.repeat(5000)}A${'é'.repeat(5000)}`, `${'é'.repeat(5000)}B${'é'.repeat(5000)}`);
  expect(text).toMatch(/^line 1, byte 10001:\n- …"é{15}Aé{34}"…\n\+ …"é{15}Bé{34}"…$/);
});

test('it is bounded whatever the outputs are', () => {
  const text = describe('\u0001'.repeat(1_000_000), '\u0002'.repeat(1_000_000));
  expect(text.length).toBeLessThan(1200);
});
