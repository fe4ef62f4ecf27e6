import { expect, test } from '@jest/globals';
import { onceEach } from '../../../src/model/once-each.js';

test('who asks the same gets the same answer, also while it is still to come', async () => {
  const once = onceEach();
  const asked: string[] = [];
  const ask = (word: string) => () => {
    asked.push(word);
    return Promise.resolve(word);
  };
  expect(
    await Promise.all([
      once({ a: 1, b: 2 }, ask('first')),
      once({ b: 2, a: 1 }, ask('again')),
      once({ a: 1 }, ask('other')),
    ]),
  ).toEqual(['first', 'first', 'other']);
  expect(await once({ a: 1 }, ask('late'))).toBe('other');
  expect(asked).toEqual(['first', 'other']);
});
