import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createFileRecordStore } from '../../../../src/adapters/store/file-record-store.js';
import { sha256 } from '../../../../src/model/digest.js';
import { isFinished } from '../../../../src/model/record.js';

const ROUNDS = 25;

let folder: string;
let writer: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-crash-'));
  writer = join(folder, 'writer.mjs');
  execFileSync(resolve('node_modules/.bin/esbuild'), [
    resolve('test/fixtures/store-writer.ts'),
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--log-level=error',
    `--outfile=${writer}`,
    "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
  ]);
});
afterAll(() => rm(folder, { recursive: true }));

/** Lets a writer work, kills it at a random moment, and returns what it said before. */
async function writeAndKill(home: string, first: number): Promise<string[]> {
  const child = spawn(process.execPath, [writer, home, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = text(child.stdout);
  await once(child.stdout, 'readable');
  setTimeout(() => child.kill('SIGKILL'), Math.random() * 60);
  await once(child, 'close');
  return (await said).trim().split('\n');
}

test('whenever a writer is killed, every record is whole or absent, and the open ones are known', async () => {
  const home = join(folder, 'home');
  const ended: string[] = [];
  const began: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const line of await writeAndKill(home, round * 10_000 + 1)) {
      const [word, id] = line.split(' ');
      (word === 'ended' ? ended : began).push(id ?? '');
    }
  }
  const store = createFileRecordStore(home);
  const records = await store.listRecords({ onInvalid: (path) => expect(path).toBe('readable') });
  const ids = new Set(records.map(({ id }) => id));
  expect(began.filter((id) => !ids.has(id))).toEqual([]);
  expect(records.length).toBeLessThanOrEqual(began.length + ROUNDS);

  const finished = records.filter(isFinished);
  const finishedIds = new Set(finished.map(({ id }) => id));
  expect(ended.filter((id) => !finishedIds.has(id))).toEqual([]);
  for (const record of finished) {
    for (const stream of [record.stdout, record.stderr]) {
      const content = await buffer(store.openBlob(stream?.digest ?? sha256('')));
      expect(content.length).toBe(stream?.bytes);
    }
  }

  const open = records.filter((record) => !isFinished(record)).map(({ id }) => id);
  expect([...(await store.listOpen())].sort()).toEqual(open.sort());
  expect(open.length).toBeGreaterThan(0);

  const images = await store.listImages((path) => expect(path).toBe('readable'));
  expect(images.length).toBeGreaterThanOrEqual(finished.length);

  await store.removeStaleTemp();
  expect(await readdir(join(home, 'tmp'))).toEqual([]);
}, 60_000);
