// make-records.mjs HOME NEW_HOME COUNT: fills a new SJS_HOME with copies of a finished record, each under an id of its own.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [home, target, count] = process.argv.slice(2);
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const encode = (number, length) =>
  Array.from({ length }, (_, index) => DIGITS[Math.floor(number / 32 ** (length - 1 - index)) % 32]).join('');

const [first] = readdirSync(join(home, 'runs'));
const record = JSON.parse(readFileSync(join(home, 'runs', first), 'utf8'));
rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, 'runs'), { recursive: true, mode: 0o700 });
const begin = Date.parse('2026-01-01T00:00:00Z');
for (let index = 0; index < Number(count); index += 1) {
  const createdAt = begin + index * 60_000;
  const id = encode(createdAt, 10) + encode(index, 16);
  const text = JSON.stringify({ ...record, id, createdAt: new Date(createdAt).toISOString() });
  writeFileSync(join(target, 'runs', `${id}.json`), `${text}\n`);
}
