import { expect, test } from '@jest/globals';
import { removeRun } from '../../../src/flows/remove-run.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeId, makeOpenRecord, makeRecord } from '../../support/records.js';

test('the record of a run that is over goes', async () => {
  const store = createMemoryRecordStore();
  const record = makeRecord();
  await store.saveRecord(record);
  expect(await removeRun(record.id, store)).toEqual(record);
  await expect(removeRun(record.id, store)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
});

test('one that goes on stays, and the error says how to end it', async () => {
  const store = createMemoryRecordStore();
  await store.saveRecord(makeOpenRecord({ id: makeId(2), state: 'running' }));
  await expect(removeRun(makeId(2), store)).rejects.toMatchObject({
    code: 'RUN_UNFINISHED',
    next: expect.stringContaining(`sjs stop ${makeId(2)}`),
  });
  expect(await store.findRecord(makeId(2))).toMatchObject({ state: 'running' });
});
