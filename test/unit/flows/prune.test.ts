import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../src/model/digest.js';
import type { RecordStore } from '../../../src/ports/record-store.js';
import { cleanFolders, makeFolder } from '../../support/world.js';
import { prune, type PruneTools } from '../../../src/flows/prune.js';
import type { Policy } from '../../../src/model/policy.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeEntry, makeRecord } from '../../support/records.js';

cleanFolders();

const DAY_MS = 24 * 3_600_000;
const NOW = Date.parse('2026-06-01T00:00:00Z');
const ago = (days: number): string => new Date(NOW - days * DAY_MS).toISOString();

const noPackages: PruneTools['packages'] = () =>
  Promise.resolve({ prune: () => Promise.resolve({ count: 0, bytes: 0 }) });

test('cached packages go by the age that the policy keeps runs for', async () => {
  const asked: unknown[] = [];
  const tools = {
    store: createMemoryRecordStore(),
    clock: { now: () => NOW },
    packages: () =>
      Promise.resolve({
        prune: (options: unknown) => (asked.push(options), Promise.resolve({ count: 2, bytes: 10 })),
      }),
    loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
  } as unknown as PruneTools;
  for (const dryRun of [true, false]) {
    expect(await prune(tools, { dryRun })).toMatchObject({ packages: { count: 2, bytes: 10 } });
  }
  expect(asked).toEqual([true, false].map((dryRun) => ({ before: NOW - 30 * DAY_MS, dryRun })));
});

test('prune keeps what is in use: by a container, or by builds that come out at it', async () => {
  const store = createMemoryRecordStore();
  const [unused, running, rebuilt] = ['1', '2', '3'].map((number) => makeEntry(number));
  await store.saveImage({ ...unused!, createdAt: ago(90) });
  await store.saveImage({ ...running!, createdAt: ago(90) });
  await store.saveImage({ ...rebuilt!, createdAt: ago(90), usedAt: ago(2) });
  const tools = {
    store,
    clock: { now: () => NOW },
    packages: noPackages,
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
    packages: noPackages,
    loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
  } as unknown as PruneTools;
  const planned = {
    records: [record.id],
    contents: { count: 1, bytes: 6 },
    images: [],
    packages: { count: 0, bytes: 0 },
    kept: [],
  };
  expect(await prune(tools, { dryRun: true })).toEqual(planned);
  expect(await store.hasBlob(digest)).toBe(true);
  expect(await prune(tools, { dryRun: false })).toEqual(planned);
  expect(await store.hasBlob(digest)).toBe(false);
});

describe('what is needed stays, and why is said', () => {
  const BASE = {
    image: 'r.example.com/base/node',
    digest: sha256('base'),
    manifestDigest: sha256('m'),
    version: null,
  };
  const lock = {
    lockVersion: 1,
    formatVersion: 1,
    base: {
      ...{ image: BASE.image, version: null, digest: BASE.digest, signer: sha256('key') },
      manifests: { 'linux/amd64': BASE.manifestDigest },
    },
    template: { name: 'node', digest: sha256('template') },
    packages: {},
  };
  const pruneWith = (store: RecordStore, options: { dryRun?: boolean; adHoc?: boolean } = {}) =>
    prune(
      {
        store,
        clock: { now: () => NOW },
        packages: noPackages,
        images: { remove: () => Promise.resolve(true) },
        loadPolicy: () => Promise.resolve({ layers: [] } as unknown as Policy),
      } as unknown as PruneTools,
      { dryRun: false, ...options },
    );

  test('a receipt keeps its run and image; without it both go', async () => {
    const store = createMemoryRecordStore();
    const [image] = ['1'].map((name) => makeEntry(name, { createdAt: ago(90) }));
    const record = makeRecord({ createdAt: ago(90), seal: image!.seal });
    await store.saveImage(image!);
    await store.saveRecord(record);
    await store.saveReceipt(record.id, '{}');
    expect(await pruneWith(store)).toMatchObject({
      records: [],
      images: [],
      kept: [
        { what: 'run', name: record.id, why: 'it has a receipt' },
        { what: 'image', name: image!.tag, why: `the receipt of run ${record.id} needs it` },
      ],
    });
    await store.removeRecord(record.id);
    expect(await pruneWith(store)).toMatchObject({ images: [image!.tag], kept: [] });
  });

  test('a lock that is there and names its base keeps the newest image built beside it', async () => {
    const store = createMemoryRecordStore();
    const folder = await makeFolder({ 'sandbox.lock': JSON.stringify(lock) });
    const [older, newer] = [90, 80].map((days) =>
      makeEntry(`locked-${days}`, { createdAt: ago(days), lockedIn: folder, base: BASE }),
    );
    await store.saveImage(older!);
    await store.saveImage(newer!);
    const planned = await pruneWith(store, { dryRun: true });
    expect(planned.images).toEqual([older!.tag]);
    expect(planned.kept).toEqual([
      { what: 'image', name: newer!.tag, why: `the lock in ${folder} needs it` },
    ]);
    const moved = { ...lock, base: { ...lock.base, digest: sha256('another') } };
    await writeFile(join(folder, 'sandbox.lock'), JSON.stringify(moved));
    expect((await pruneWith(store)).images).toHaveLength(2);
  });

  test('what a kept image was rebased from stays, as far back as it goes', async () => {
    const store = createMemoryRecordStore();
    const first = makeEntry('first', { createdAt: ago(90) });
    const second = makeEntry('second', { createdAt: ago(60), rebasedFrom: first.seal });
    const third = makeEntry('third', { createdAt: ago(1), rebasedFrom: second.seal });
    for (const entry of [first, second, third]) await store.saveImage(entry);
    expect(await pruneWith(store)).toMatchObject({ images: [], kept: [{}, {}] });
    await store.removeImage(third.seal);
    expect((await pruneWith(store)).images).toHaveLength(2);
  });

  test('code without a sandbox.yaml goes after a day, or at once with its runs when that is asked', async () => {
    const store = createMemoryRecordStore();
    const entry = (name: string, days: number) =>
      makeEntry(name, { createdAt: ago(days), isAdHoc: true as const });
    const [old, used, young] = [entry('old', 2), entry('used', 2), entry('young', 0.5)];
    for (const one of [old, used, young]) await store.saveImage(one);
    const record = makeRecord({ createdAt: ago(2), seal: used.seal });
    await store.saveRecord(record);
    expect(await pruneWith(store)).toMatchObject({ records: [], images: [old.tag] });
    const all = await pruneWith(store, { adHoc: true });
    expect(all.records).toEqual([record.id]);
    expect([...all.images].sort()).toEqual([used.tag, young.tag].sort());
  });
});
