import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { createUlid, isUlid, timeOfUlid } from '../../../src/model/ulid.js';

// In this order: ids of one process only ever grow.
test('the example of the specification has the right time part', () => {
  const id = createUlid(1469918176385, Buffer.alloc(10));
  expect(id).toBe('01ARYZ6S410000000000000000');
  expect(timeOfUlid(id)).toBe(1469918176385);
});

test('randomness fills the other sixteen characters', () => {
  expect(createUlid(1469918176386, Buffer.alloc(10, 0xff))).toBe('01ARYZ6S42ZZZZZZZZZZZZZZZZ');
});

test('after the last of a millisecond comes the next millisecond', () => {
  expect(createUlid(1469918176386, Buffer.alloc(10))).toBe('01ARYZ6S430000000000000000');
});

test('a thousand in one millisecond, and with the clock going back, sort in their order', () => {
  const now = 1_700_000_000_000;
  const ids = Array.from({ length: 1000 }, (_, i) => createUlid(i < 500 ? now : now - i, randomBytes(10)));
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(1000);
  expect(ids.every(isUlid)).toBe(true);
});

test('later times sort later', () => {
  const ids = [1, 2, 1000, 1_000_000].map((later) => createUlid(1_800_000_000_000 + later, randomBytes(10)));
  expect([...ids].sort()).toEqual(ids);
});

test('ten random bytes it must be', () => {
  expect(() => createUlid(0, Buffer.alloc(9))).toThrow(RangeError);
});

test.each([
  '',
  '01ARYZ6S41',
  '81ARYZ6S410000000000000000',
  '01aryz6s410000000000000000',
  '01ARYZ6S4100000000000000I0',
  7,
])('%j is no ULID', (text) => expect(isUlid(text)).toBe(false));
