import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPoolLog } from '../../../src/cli/pool-log.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-pool-log-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('what a pool says stands there with its time, harmless and never without bound', async () => {
  const file = join(folder, 'a.log');
  const log = createPoolLog(file, () => 0);
  log.write('a\u001b[2J\nb');
  expect(await readFile(file, 'utf8')).toBe('1970-01-01T00:00:00.000Z a\\x1b[2J\\x0ab\n');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  for (let at = 0; at < 400; at += 1) log.write('x'.repeat(1000));
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
  );
  expect(sizes).toHaveLength(2);
  expect(Math.max(...sizes)).toBeLessThan(70_000);
  log.remove();
  expect(await readdir(folder)).toEqual([]);
});

test('a file that cannot be written is no failure', () => {
  const log = createPoolLog(join(folder, 'nowhere', 'a.log'), () => 0);
  log.write('a');
  log.remove();
});
