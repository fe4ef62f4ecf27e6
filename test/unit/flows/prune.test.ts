import { expect, test } from '@jest/globals';
import { prune, type PruneTools } from '../../../src/flows/prune.js';
import type { Policy } from '../../../src/model/policy.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry, makeRecord } from '../../support/records.js';

const DAY_MS = 24 * 3_600_000;
const NOW = Date.parse('2026-06-01T00:00:00Z');
const ago = (days: number): string => new Date(NOW - days * DAY_MS).toISOString();

test('prune keeps what is in use: by a container, or by builds that come out at it', async () => {
  const store = createMemoryRecordStore();
  const [unused, running, rebuilt] = ['1', '2', '3'].map((number) => makeEntry(number));
  await store.saveImage({ ...unused!, createdAt: ago(90) });
  await store.saveImage({ ...running!, createdAt: ago(90) });
  await store.saveImage({ ...rebuilt!, createdAt: ago(90), usedAt: ago(2) });
  const tools = {
    store,
    clock: { now: () => NOW },
    images: { remove: (tag: string) => Promise.resolve(tag !== running!.tag) },
    loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
  } as unknown as PruneTools;
  // What uses an image the engine says only when it is to be removed.
  const planned = await prune(tools, { dryRun: true });
  expect([...planned.images].sort()).toEqual([unused!.tag, running!.tag].sort());
  expect(await store.listImages()).toHaveLength(3);
  expect((await prune(tools, { dryRun: false })).images).toEqual([unused!.tag]);
  expect((await store.listImages()).map(({ tag }) => tag).sort()).toEqual(
    [running!.tag, rebuilt!.tag].sort(),
  );
});

test('a dry run says what would go, with what only that refers to, and leaves it', async () => {
  const store = createMemoryRecordStore();
  const writer = await store.createBlob();
  await writer.write(Buffer.from('output'));
  const { digest, bytes } = await writer.commit();
  const record = makeRecord({ createdAt: ago(90), stdout: { digest, bytes, truncated: false } });
  await store.saveRecord(record);
  const tools = {
    store,
    clock: { now: () => NOW },
    loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
  } as unknown as PruneTools;
  const planned = { records: [record.id], contents: { count: 1, bytes: 6 }, images: [] };
  expect(await prune(tools, { dryRun: true })).toEqual(planned);
  expect(await store.hasBlob(digest)).toBe(true);
  expect(await prune(tools, { dryRun: false })).toEqual(planned);
  expect(await store.hasBlob(digest)).toBe(false);
});
