// attack-table.mjs FOLDER [--json]: prints the rows that the tests of test/attack/ left there. Exits 1 when a case did
// not hold or one of the catalogue has no row; what a machine cannot show is said to be so.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTs } from './load-ts.mjs';

const WIDTH = 120;
const [folder, option] = process.argv.slice(2);
const { CASES } = await loadTs('test/attack/catalogue.ts');

const rows = Object.entries(CASES).map(([id, words]) => {
  const file = join(folder, `${id}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  return { id, ...words, happened: 'was not tried', without: 'was not tried', held: false };
});
const failed = rows.filter((row) => row.held === false).map((row) => row.id);
const untried = rows.filter((row) => row.held === null).map((row) => row.id);

/** Lines of at most `width` characters, broken between words where possible. */
function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`;
    if (line.length <= width) lines[lines.length - 1] = line;
    else if (lines.at(-1) === '') lines[lines.length - 1] = word;
    else lines.push(word);
  }
  return lines.flatMap((line) => line.match(new RegExp(`.{1,${width}}`, 'gu')) ?? ['']);
}

const COLUMNS = [
  ['case', 4, (row) => row.id],
  ['', 4, (row) => (row.held === null ? '–' : row.held ? 'held' : 'FAIL')],
  ['what was tried', 23, (row) => row.tried],
  ['what happened', 27, (row) => row.happened],
  ['the control that held', 22, (row) => row.control],
  ['without it', 28, (row) => `${row.removed}: ${row.without}`],
];
function print(cells) {
  const wrapped = cells.map((text, index) => wrap(text, COLUMNS[index][1]));
  for (let line = 0; line < Math.max(...wrapped.map((lines) => lines.length)); line++) {
    const parts = wrapped.map((lines, index) => (lines[line] ?? '').padEnd(COLUMNS[index][1]));
    console.log(parts.join('  ').trimEnd());
  }
}

if (option === '--json') {
  console.log(JSON.stringify(rows, null, 2));
} else {
  print(COLUMNS.map(([title]) => title));
  for (const row of rows) {
    console.log('-'.repeat(WIDTH));
    print(COLUMNS.map(([, , cell]) => cell(row)));
  }
  console.log('-'.repeat(WIDTH));
  const list = (ids) => (ids.length > 0 ? ` (${ids.join(', ')})` : '');
  const held = rows.length - failed.length - untried.length;
  console.log(
    `${held} held, ${failed.length} failed${list(failed)}, ${untried.length} cannot be tried on this machine${list(untried)}`,
  );
}
process.exitCode = failed.length > 0 ? 1 : 0;
