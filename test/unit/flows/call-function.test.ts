import { describe, expect, test } from '@jest/globals';
import { checkArguments, encodeArguments } from '../../../src/flows/call-function.js';
import { ARGUMENTS_BYTES } from '../../../src/model/call.js';

const text = (args: readonly unknown[]): string => Buffer.from(encodeArguments(args)).toString();
const refused = expect.objectContaining({ code: 'ARGUMENTS_INVALID' }) as unknown as Error;
const cycle: unknown[] = [];
cycle.push(cycle);

test.each<[unknown[], string]>([
  [[], '[]'],
  [[undefined, { a: undefined }], '[null,{}]'],
  [[new Date(0), 'a\ud800'], String.raw`["1970-01-01T00:00:00.000Z","a\ud800"]`],
])('%j is written as JSON', (args, expected) => expect(text(args)).toBe(expected));

test.each<[string, unknown]>([
  ['a BigInt', 1n],
  ['NaN', [NaN]],
  ['a function', { a: () => 1 }],
  ['a symbol', Symbol('a')],
  ['a Map', new Map()],
  ['a Set', new Set()],
  ['a cycle', cycle],
  ['more than a call takes', 'x'.repeat(ARGUMENTS_BYTES)],
])('%s is refused', (_, argument) => expect(() => encodeArguments([argument])).toThrow(refused));

describe('arguments that are given as bytes', () => {
  test('stay as they were written', () => {
    const bytes = Buffer.from('[ 12345678901234567890, -0 ]');
    expect(checkArguments(bytes)).toBe(bytes);
  });

  test.each([['{}'], ['1'], ['[1'], [''], [Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])]])(
    '%s is refused',
    (given) => expect(() => checkArguments(Buffer.from(given as string))).toThrow(refused),
  );

  test('are refused when they are more than a call takes', () => {
    expect(() => checkArguments(Buffer.alloc(ARGUMENTS_BYTES + 1, ' '))).toThrow(/16Mi/);
  });
});
