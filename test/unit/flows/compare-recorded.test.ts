import { expect, test } from '@jest/globals';
import { compareRecorded } from '../../../src/flows/compare-recorded.js';
import type { RunRecord } from '../../../src/model/record.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeRecord } from '../../support/records.js';

test.each<[string, string, string | null, boolean]>([
  ['what began the same', 'abc'.repeat(50_000), 'abc'.repeat(40_000), true],
  ['nothing at all', 'abc', '', true],
  ['what began otherwise', 'abcdef', 'abX', false],
  ['what is otherwise at its end', `${'abc'.repeat(40_000)}def`, `${'abc'.repeat(39_999)}abX`, false],
  ['what is not kept any more', 'abcdef', null, true],
])('a replay that wrote %s before its time was over', async (_name, first, second, reproduced) => {
  const store = createMemoryRecordStore();
  const record = async (text: string | null): Promise<RunRecord> => {
    if (text === null) return ended({ digest: `sha256:${'0'.repeat(64)}`, bytes: 1 });
    const blob = await store.createBlob();
    await blob.write(Buffer.from(text));
    return ended(await blob.commit());
  };
  const [one, other] = [await record(first), await record(second)];
  expect((await compareRecorded(one, other, store)).reproduced).toBe(reproduced);
  expect((await compareRecorded(other, one, store)).reproduced).toBe(reproduced);
});

const ended = (content: Pick<NonNullable<RunRecord['stdout']>, 'digest' | 'bytes'>): RunRecord =>
  makeRecord({ state: 'timed-out', exitCode: 137, stdout: { ...content, truncated: false } });
