import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../src/model/digest.js';
import type { RecordStore } from '../../src/ports/record-store.js';
import { makeEntry, makeId, makeOpenRecord, makeRecord } from '../support/records.js';
import { until } from '../support/until.js';

/** What every record store does. @param createStore an empty store of its own home */
export function describeRecordStore(name: string, createStore: () => Promise<RecordStore>): void {
  describe(`${name}: records`, () => {
    let store: RecordStore;
    beforeEach(async () => void (store = await createStore()));

    test('an empty store has nothing and says so without failing', async () => {
      expect(await store.listRecords({})).toEqual([]);
      expect(await store.listOpen()).toEqual([]);
      expect(await store.listImages()).toEqual([]);
      expect(await store.findImageBySeal(sha256('x'))).toBeNull();
      expect(await store.findImageByInputs(sha256('x'))).toBeNull();
      expect(await store.hasBlob(sha256('x'))).toBe(false);
      expect(await store.readCache('rootfs', sha256('x'))).toBeNull();
      expect(await store.pruneBlobs()).toEqual({ count: 0, bytes: 0 });
      expect(await store.removeStaleTemp()).toBe(0);
    });

    test('a record comes back as it was saved', async () => {
      const record = makeRecord({
        env: { A: 'ü\n\u0000' },
        artifacts: [{ path: 'a', digest: sha256('a'), bytes: 1 }],
        replayOf: makeId(9),
        error: { code: 'ENGINE_FAILED', message: 'm' },
      });
      await store.saveRecord(record);
      expect(await store.findRecord(record.id)).toEqual(record);
    });

    test('a receipt is kept beside the record, one for a run, and goes with it', async () => {
      const [id, other] = [makeId(1), makeId(2)];
      expect(await store.readReceipt(id)).toBeNull();
      expect(await store.listReceipts()).toEqual([]);
      await store.saveRecord(makeRecord({ id }));
      await store.saveReceipt(id, 'first\n');
      await store.saveReceipt(id, 'ü\n');
      await store.saveReceipt(other, 'other');
      expect(await store.readReceipt(id)).toBe('ü\n');
      expect([...(await store.listReceipts())].sort()).toEqual([id, other]);
      await store.removeRecord(id);
      expect(await store.listReceipts()).toEqual([other]);
      await expect(store.saveReceipt('../x', 'evil')).rejects.toMatchObject({ code: 'STORE_INVALID' });
    });

    test('saving again replaces', async () => {
      await store.saveRecord(makeOpenRecord());
      await store.saveRecord(makeRecord({ exitCode: 0 }));
      expect(await store.listRecords({})).toEqual([makeRecord()]);
    });

    test('a record is found by a prefix of at least six, in either case', async () => {
      const [id, other] = [`01J00A${'0'.repeat(20)}`, `01J00B${'0'.repeat(20)}`];
      await store.saveRecord(makeRecord({ id }));
      await store.saveRecord(makeRecord({ id: other }));
      expect((await store.findRecord('01j00a')).id).toBe(id);
      await expect(store.findRecord('01J00')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
      await expect(store.findRecord('01J00C')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    });

    test('two records of one prefix are ambiguous and listed', async () => {
      const [a, b] = [makeId(1), makeId(2)];
      await store.saveRecord(makeRecord({ id: a }));
      await store.saveRecord(makeRecord({ id: b }));
      const finding = store.findRecord(a.slice(0, 10));
      await expect(finding).rejects.toMatchObject({ code: 'TARGET_AMBIGUOUS' });
      await expect(finding).rejects.toThrow(a);
      await expect(finding).rejects.toThrow(b);
    });

    test.each(['', '../../etc/passwd', '01J/..', `${makeId(1)}0`, 'ilouILOU', '01J000\0', '*'.repeat(26)])(
      '%j is no id',
      async (id) => {
        await store.saveRecord(makeRecord());
        await expect(store.findRecord(id)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
      },
    );

    test('what is asked of a run is handed over once, in order, to that run alone', async () => {
      await store.sendSignal(makeId(1), { signal: 'SIGTERM', graceMs: 500 });
      await store.sendSignal(makeId(2), { signal: 'SIGUSR1' });
      await store.sendSignal(makeId(1), { signal: 'SIGKILL' });
      expect(await store.takeSignals(makeId(1))).toEqual([
        { signal: 'SIGTERM', graceMs: 500 },
        { signal: 'SIGKILL' },
      ]);
      expect(await store.takeSignals(makeId(1))).toEqual([]);
      expect(await store.takeSignals(makeId(2))).toEqual([{ signal: 'SIGUSR1' }]);
    });

    test('a record that is put is there at once, and later on disk; its end closes it', async () => {
      const open = makeOpenRecord({ id: makeId(1) });
      const begun = await store.putRecord(open);
      expect(await store.findRecord(open.id)).toEqual(open);
      expect(await store.listOpen()).toEqual([open.id]);
      const finished = makeRecord({ id: makeId(1) });
      const ended = await store.putRecord(finished);
      expect(await store.findRecord(open.id)).toEqual(finished);
      await Promise.all([begun.durable, ended.durable]);
      expect(await store.listOpen()).toEqual([]);
    });

    test('content is read while it is written, by the name of its run and stream', async () => {
      const name = { runId: makeId(1), stream: 'stdout' } as const;
      expect(await store.openGrowing(name)).toBeNull();
      const writer = await store.createBlob(name);
      await writer.write(Buffer.from('one'));
      const reader = await until('its file is there', () => store.openGrowing(name));
      expect(await store.openGrowing({ ...name, stream: 'stderr' })).toBeNull();
      expect(Buffer.from((await reader?.read()) ?? []).toString()).toBe('one');
      await writer.write(Buffer.from('two'));
      expect(Buffer.from((await reader?.read()) ?? []).toString()).toBe('two');
      expect(await reader?.read()).toHaveLength(0);
      await writer.commit();
      expect(await store.openGrowing(name)).toBeNull();
      await reader?.close();
    });

    test('open runs are listed alone', async () => {
      await store.saveRecord(makeRecord({ id: makeId(1) }));
      await store.saveRecord(makeOpenRecord({ id: makeId(2) }));
      expect((await store.listRecords({ isOpen: true })).map(({ id }) => id)).toEqual([makeId(2)]);
    });

    test('a record under a name that is no ULID is refused', async () => {
      await expect(store.saveRecord(makeRecord({ id: '../evil' }))).rejects.toMatchObject({
        code: 'STORE_INVALID',
      });
    });

    test('records list newest first, by seal, by condition, up to a limit', async () => {
      for (const number of [2, 1, 4, 3]) {
        await store.saveRecord(makeRecord({ id: makeId(number), seal: sha256(String(number % 2)) }));
      }
      const ids = async (query: Parameters<RecordStore['listRecords']>[0]) =>
        (await store.listRecords(query)).map(({ id }) => id);
      expect(await ids({})).toEqual([4, 3, 2, 1].map(makeId));
      expect(await ids({ limit: 2 })).toEqual([4, 3].map(makeId));
      expect(await ids({ limit: 0 })).toEqual([]);
      expect(await ids({ seal: sha256('1') })).toEqual([3, 1].map(makeId));
      expect(await ids({ seal: sha256('1'), limit: 1 })).toEqual([makeId(3)]);
      expect(await ids({ where: ({ id }) => id < makeId(3), limit: 1 })).toEqual([makeId(2)]);
    });

    test('open are those created or running', async () => {
      await store.saveRecord(makeOpenRecord({ id: makeId(1) }));
      await store.saveRecord(makeOpenRecord({ id: makeId(2), state: 'running' }));
      await store.saveRecord(makeRecord({ id: makeId(3) }));
      await store.saveRecord(makeOpenRecord({ id: makeId(4) }));
      await store.saveRecord(makeRecord({ id: makeId(4) }));
      expect([...(await store.listOpen())].sort()).toEqual([1, 2].map(makeId));
    });

    test('a removed record is gone, also from the open ones; removing twice is fine', async () => {
      await store.saveRecord(makeOpenRecord());
      await store.removeRecord(makeId(1));
      await store.removeRecord(makeId(1));
      expect(await store.listOpen()).toEqual([]);
      await expect(store.findRecord(makeId(1))).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    });
  });

  describe(`${name}: contents`, () => {
    let store: RecordStore;
    beforeEach(async () => void (store = await createStore()));

    const keep = async (...chunks: (string | Uint8Array)[]) => {
      const blob = await store.createBlob();
      for (const chunk of chunks) await blob.write(Buffer.from(chunk));
      expect(blob.bytes).toBe(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      return blob.commit();
    };

    test.each([
      ['nothing', []],
      ['a word', ['word']],
      ['many chunks', ['a', 'b', '', 'c']],
      ['a megabyte', [randomBytes(1_000_000), randomBytes(77)]],
    ])('%s comes back byte for byte', async (_name, chunks) => {
      const content = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
      const kept = await keep(...chunks);
      expect(kept).toEqual({ digest: sha256(content), bytes: content.length });
      expect(await store.hasBlob(kept.digest)).toBe(true);
      expect(await store.renewBlob(kept.digest)).toBe(true);
      expect((await buffer(store.openBlob(kept.digest))).equals(content)).toBe(true);
    });

    test('writes that nobody waited for keep their order', async () => {
      const blob = await store.createBlob();
      const parts = Array.from({ length: 50 }, (_, i) => `${i},`);
      void Promise.all(parts.map((part) => blob.write(Buffer.from(part))));
      const { digest } = await blob.commit();
      expect((await buffer(store.openBlob(digest))).toString()).toBe(parts.join(''));
    });

    test('the same content is kept once', async () => {
      expect(await keep('same')).toEqual(await keep('sa', 'me'));
      expect(await store.pruneBlobs()).toEqual(expect.objectContaining({ count: expect.any(Number) }));
    });

    test('discarded content is gone, and takes nothing more', async () => {
      const blob = await store.createBlob();
      await blob.write(Buffer.from('never'));
      await blob.discard();
      await blob.discard();
      await expect(blob.write(Buffer.from('more'))).rejects.toThrow();
      expect(await store.hasBlob(sha256('never'))).toBe(false);
      expect(await store.renewBlob(sha256('never'))).toBe(false);
    });

    test('content that is not there fails while reading', async () => {
      await expect(buffer(store.openBlob(sha256('gone')))).rejects.toMatchObject({ code: 'STORE_INVALID' });
    });

    test('what a record refers to survives pruning', async () => {
      const { digest, bytes } = await keep('output');
      await store.saveRecord(makeRecord({ stdout: { digest, bytes, truncated: false } }));
      await store.pruneBlobs();
      expect(await store.hasBlob(digest)).toBe(true);
    });
  });

  describe(`${name}: index, cache and key`, () => {
    let store: RecordStore;
    beforeEach(async () => void (store = await createStore()));

    test('an image is found by seal and by inputs until it is removed', async () => {
      const entry = makeEntry('one');
      await store.saveImage(entry);
      expect(await store.findImageBySeal(entry.seal)).toEqual(entry);
      expect(await store.findImageByInputs(entry.inputs)).toEqual(entry);
      await store.removeImage(entry.seal);
      await store.removeImage(entry.seal);
      expect(await store.findImageBySeal(entry.seal)).toBeNull();
      expect(await store.findImageByInputs(entry.inputs)).toBeNull();
    });

    test('other inputs that led to the same seal are both found', async () => {
      const first = makeEntry('one');
      const second = makeEntry('one', { inputs: sha256('other inputs') });
      await store.saveImage(first);
      await store.saveImage(second);
      expect(await store.findImageByInputs(first.inputs)).toEqual(first);
      expect(await store.findImageByInputs(second.inputs)).toEqual(second);
      expect(await store.listImages()).toEqual([second]);
      await store.removeImage(second.seal);
      for (const { inputs } of [first, second]) expect(await store.findImageByInputs(inputs)).toBeNull();
    });

    test('an entry is changed by several at once, and no change is lost', async () => {
      const { seal } = makeEntry('shared');
      const add = (place: string) =>
        store.updateImage(seal, (now) => {
          const entry = now ?? makeEntry('shared');
          const pushed = { repository: place, digest: seal, at: '2026-01-01T00:00:00Z', publicKey: null };
          return { ...entry, pushed: [...(entry.pushed ?? []), pushed] };
        });
      const places = Array.from({ length: 12 }, (_, at) => `r.example/p${at}`);
      await Promise.all(places.map(add));
      const found = await store.findImageBySeal(seal);
      expect(found?.pushed?.map(({ repository }) => repository).sort()).toEqual([...places].sort());
      expect(await store.findImageByInputs(makeEntry('shared').inputs)).toEqual(found);
      // What a change fails with is said, and the entry stays as it was.
      const failing = store.updateImage(seal, () => {
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await store.findImageBySeal(seal)).toEqual(found);
      await add('r.example/last');
    });

    test('images list newest first', async () => {
      await store.saveImage(makeEntry('b', { createdAt: '2026-01-02T00:00:00.000Z' }));
      await store.saveImage(makeEntry('c', { createdAt: '2026-01-03T00:00:00.000Z' }));
      await store.saveImage(makeEntry('a', { createdAt: '2026-01-01T00:00:00.000Z' }));
      expect((await store.listImages()).map(({ name: word }) => word)).toEqual(['c', 'b', 'a']);
    });

    test('a cached finding comes back under its kind and key alone', async () => {
      await store.writeCache('rootfs', sha256('base'), { setuidFiles: ['/bin/su'] });
      expect(await store.readCache('rootfs', sha256('base'))).toEqual({ setuidFiles: ['/bin/su'] });
      expect(await store.readCache('other', sha256('base'))).toBeNull();
      expect(await store.readCache('rootfs', sha256('another'))).toBeNull();
    });

    test('a fingerprint is the same for the same value in one home, and another elsewhere', async () => {
      const [first, again, different] = await Promise.all(
        ['a', 'a', 'b'].map((text) => store.fingerprint(text)),
      );
      expect(first).toMatch(/^[0-9a-f]{64}$/);
      expect(again).toBe(first);
      expect(different).not.toBe(first);
      expect(await (await createStore()).fingerprint('a')).not.toBe(first);
    });
  });
}
