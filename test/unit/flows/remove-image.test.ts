import { beforeEach, expect, test } from '@jest/globals';
import type { TargetTools } from '../../../src/flows/find-target.js';
import { removeImage } from '../../../src/flows/remove-image.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry } from '../../support/records.js';

const entry = makeEntry('job');
let store = createMemoryRecordStore();
beforeEach(async () => {
  store = createMemoryRecordStore();
  await store.saveImage(entry);
});

/** The flow with an engine that removes, or does not. */
const remove = async (didRemove: boolean) => {
  const removed: string[] = [];
  const images = { remove: (tag: string) => (removed.push(tag), Promise.resolve(didRemove)) };
  const result = removeImage('job', { store, images } as unknown as TargetTools);
  await result.catch(() => undefined);
  return { result, removed };
};

test('an image goes from the engine by its tag, and from the index', async () => {
  const { result, removed } = await remove(true);
  expect(await result).toEqual(entry);
  expect(removed).toEqual([entry.tag]);
  expect(await store.listImages()).toEqual([]);
});

test('one that a container uses stays in both', async () => {
  const { result } = await remove(false);
  await expect(result).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  expect(await store.listImages()).toEqual([entry]);
});
