import { beforeEach, expect, test } from '@jest/globals';
import { STDIN_KEPT_BYTES } from '../../../src/flows/execute-run.js';
import { replayRun } from '../../../src/flows/replay-run.js';
import type { RunTools } from '../../../src/flows/run-sandbox.js';
import { sha256 } from '../../../src/model/digest.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry, makeId, makeRecord } from '../../support/records.js';

const entry = makeEntry('job');
/** Read something that nobody kept: the error names the run that was chosen. */
const lost = { digest: sha256('lost'), bytes: 4, truncated: false };
const imported = { at: '2026-01-02T03:04:05.000Z' };

let store = createMemoryRecordStore();
beforeEach(async () => {
  store = createMemoryRecordStore();
  await store.saveImage(entry);
});
const save = async (number: number, overrides: object = {}): Promise<void> =>
  store.saveRecord(makeRecord({ id: makeId(number), seal: entry.seal, stdin: lost, ...overrides }));
const replay = (target: string): Promise<unknown> => {
  const output = { onStdout: () => undefined, onStderr: () => undefined };
  const tools = { store, images: {} } as unknown as RunTools;
  return replayRun(target, {}, output, { subscribe: () => () => undefined }, tools);
};

test.each(['job', entry.tag])('%s is its newest run that was made here', async (target) => {
  await save(1);
  await save(2);
  await save(3, { imported });
  await expect(replay(target)).rejects.toMatchObject({
    code: 'REPLAY_INPUT_MISSING',
    message: expect.stringContaining(makeId(2)),
  });
});

test('one that was imported is replayed by its id alone', async () => {
  await save(3, { imported });
  await expect(replay('job')).rejects.toMatchObject({
    code: 'RUN_NOT_FOUND',
    next: expect.stringContaining(`sjs replay ${makeId(3)}`),
  });
  await expect(replay(makeId(3))).rejects.toMatchObject({
    code: 'REPLAY_INPUT_MISSING',
    message: expect.stringContaining(makeId(3)),
  });
});

test.each([
  ['more than its record says', { bytes: 3 }, 'REPLAY_INPUT_CHANGED'],
  ['more than a run keeps', { bytes: STDIN_KEPT_BYTES + 1 }, 'REPLAY_INPUT_MISSING'],
])('a stdin of %s is not read into memory', async (_what, stdin, code) => {
  const blob = await store.createBlob();
  await blob.write(Buffer.from('four'));
  const { digest } = await blob.commit();
  await save(1, { stdin: { digest, truncated: false, ...stdin } });
  await expect(replay('job')).rejects.toMatchObject({ code });
});
