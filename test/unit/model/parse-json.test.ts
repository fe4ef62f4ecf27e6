import { expect, test } from '@jest/globals';
import { parseJson } from '../../../src/model/parse-json.js';

test('reads what JSON.parse reads, brackets in strings and escapes too', () => {
  for (const text of ['{"a":[1,{"b":null}],"c":"[[{\\"]\\\\"}', ' "x" ', '[]', '"\\u005b"', 'true']) {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  }
  for (const text of ['', '{', '"', '"\\', '[}', 'nothing'])
    expect(() => parseJson(text)).toThrow(SyntaxError);
  expect(parseJson(JSON.stringify('['.repeat(1000)))).toBe('['.repeat(1000));
});

test('what is nested deeper than any document is refused, and not walked', () => {
  const nest = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  expect(() => parseJson(nest(100))).not.toThrow();
  expect(() => parseJson(nest(101))).toThrow(/deeper than 100/);
  expect(() => parseJson(nest(200_000))).toThrow(SyntaxError);
});
