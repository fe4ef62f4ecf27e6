import { expect, test } from '@jest/globals';
import { renew } from '../../../src/flows/build-sandbox.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry } from '../../support/records.js';

type Prepared = Parameters<typeof renew>[1];
type Tools = Parameters<typeof renew>[2];

test('a build that changes nothing keeps its image and its packages in use', async () => {
  const store = createMemoryRecordStore();
  const known = makeEntry('job');
  await store.saveImage(known);
  const touched: string[] = [];
  const tools = {
    store,
    clock: { now: () => Date.parse('2026-06-01T00:00:00Z') },
  } as unknown as Tools;
  const prepared = {
    loaded: { isAdHoc: false, directory: '/job' },
    base: { repository: { registry: 'r.example.com', path: 'base/node' }, ...known.base },
    packages: {
      source: { archives: [{ touch: () => Promise.resolve(void touched.push('node_modules/a')) }] },
    },
  } as unknown as Prepared;
  await renew(known, prepared, tools);
  expect(touched).toEqual(['node_modules/a']);
  expect(await store.findImageBySeal(known.seal)).toMatchObject({
    usedAt: '2026-06-01T00:00:00.000Z',
    lockedIn: '/job',
    base: { image: 'r.example.com/base/node' },
  });
});
