import { expect, test } from '@jest/globals';
import { formatRelativeTime } from '../../../src/cli/relative-time.js';
import { formatTable } from '../../../src/cli/table.js';

test('columns stand under upper-case headers, three spaces apart, with nothing at the end of a line', async () => {
  expect(
    await formatTable(
      ['run', 'state', 'created'],
      [
        ['01J1', 'succeeded', '2 minutes ago'],
        ['01J22', 'failed', ''],
      ],
    ),
  ).toBe(['RUN     STATE       CREATED', '01J1    succeeded   2 minutes ago', '01J22   failed'].join('\n'));
});

test('no rows leave the headers', async () => {
  expect(await formatTable(['tag', 'size'], [])).toBe('TAG   SIZE');
});

test('widths are those a terminal shows', async () => {
  expect(
    await formatTable(
      ['name', 'x'],
      [
        ['日本', '1'],
        ['😀', '2'],
        ['é', '3'],
      ],
    ),
  ).toBe('NAME   X\n日本   1\n😀     2\né      3');
});

test('foreign text in a cell stays in its cell', async () => {
  expect(await formatTable(['arg'], [['a\nb\t\u001b[2J\u202e\ud800']])).toBe(
    'ARG\na\\x0ab\\x09\\x1b[2J\\u202e\\ud800',
  );
});

test('columns are cut to the width, one after the other, at the end that says less', async () => {
  const rows = [['a-long-name-of-an-image', 'registry.example.com/base/node:24', 'now']];
  const options = { flexible: [1, 0], keepsEnd: [1] };
  const at = async (width: number): Promise<string | undefined> =>
    (await formatTable(['tag', 'base', 'age'], rows, { ...options, width })).split('\n')[1];
  expect(await at(65)).toBe('a-long-name-of-an-image   registry.example.com/base/node:24   now');
  expect(await at(60)).toBe('a-long-name-of-an-image   …ry.example.com/base/node:24   now');
  expect(await at(38)).toBe('a-long-name-of-a…   …ase/node:24   now');
  // Narrower it does not get.
  expect(await at(10)).toBe('a-long-name…   …ase/node:24   now');
});

test.each([
  [0, 'just now'],
  [-60, 'just now'],
  [0.9, 'just now'],
  [1, '1 second ago'],
  [59, '59 seconds ago'],
  [60, '1 minute ago'],
  [150, '2 minutes ago'],
  [3600, '1 hour ago'],
  [47 * 3600, '1 day ago'],
  [8 * 86_400, '1 week ago'],
  [65 * 86_400, '2 months ago'],
  [800 * 86_400, '2 years ago'],
])('%d seconds are %s', (seconds, text) => {
  const now = Date.parse('2026-06-01T00:00:00.000Z');
  expect(formatRelativeTime(new Date(now - seconds * 1000).toISOString(), now)).toBe(text);
});
