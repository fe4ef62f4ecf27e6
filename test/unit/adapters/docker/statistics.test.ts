import { expect, test } from '@jest/globals';
import { readLines } from '../../../../src/adapters/docker/statistics.js';

const read = async (...chunks: readonly string[]): Promise<string[]> => {
  async function* stream() {
    for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
  }
  const lines: string[] = [];
  for await (const line of readLines(stream())) lines.push(line);
  return lines;
};

test('lines come whole, however the stream is cut; what is no whole line does not come', async () => {
  expect(await read('{"a":1}\n{"b"', ':2', '}\n{"c":3}\n{"d"')).toEqual(['{"a":1}', '{"b":2}', '{"c":3}']);
});

test('a line without an end is not kept', async () => {
  expect(await read('a\n', 'x'.repeat(40_000), 'x'.repeat(40_000), '\nb\n')).toEqual(['a']);
});
