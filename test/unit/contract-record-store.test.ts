import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { createFileRecordStore } from '../../src/adapters/store/file-record-store.js';
import { describeRecordStore } from '../contract/record-store.contract.js';
import { createMemoryRecordStore } from '../support/memory-record-store.js';

const homes: string[] = [];
afterAll(() => Promise.all(homes.map((home) => rm(home, { recursive: true }))));

let stores = 0;
describeRecordStore('in memory', () => Promise.resolve(createMemoryRecordStore(`/memory/${(stores += 1)}`)));
describeRecordStore('in files', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sjs-store-'));
  homes.push(home);
  return createFileRecordStore(home);
});
