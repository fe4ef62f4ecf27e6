import { createHmac } from 'node:crypto';
import { Readable } from 'node:stream';
import { SjsError } from '../../src/errors.js';
import { sha256, type Digest } from '../../src/model/digest.js';
import { isFinished, type RunRecord } from '../../src/model/record.js';
import type { IndexEntry } from '../../src/model/sealed-image.js';
import { isUlid } from '../../src/model/ulid.js';
import type { RecordStore, SignalRequest } from '../../src/ports/record-store.js';

/** A store that forgets; it has no power cuts, no disk and no age: `pruneBlobs` removes all that nothing refers to. */
export function createMemoryRecordStore(home = '/memory'): RecordStore {
  const records = new Map<string, RunRecord>();
  const blobs = new Map<Digest, Buffer>();
  const images = new Map<Digest, IndexEntry>();
  const inputs = new Map<Digest, IndexEntry>();
  const statements = new Map<Digest, string>();
  const cache = new Map<string, string>();
  const signals = new Map<string, SignalRequest[]>();
  const receipts = new Map<string, string>();
  const growing = new Map<string, Uint8Array[]>();
  const copy = <T>(value: T): T => structuredClone(value);
  return {
    home,
    saveRecord: async (record, first) => {
      await first;
      if (!isUlid(record.id)) throw new SjsError('STORE_INVALID', 'not the id of a run');
      await Promise.resolve(records.set(record.id, copy(record)));
    },
    putRecord: async (record) => {
      await Promise.resolve(records.set(record.id, copy(record)));
      return { durable: Promise.resolve() };
    },
    parseRecord: (text) => JSON.parse(text) as RunRecord,
    findRecord: async (idOrPrefix) => {
      await Promise.resolve();
      const prefix = idOrPrefix.toUpperCase();
      const ids = prefix.length < 6 ? [] : [...records.keys()].filter((id) => id.startsWith(prefix));
      if (ids.length > 1) throw new SjsError('TARGET_AMBIGUOUS', `${prefix} begins ${ids.join(', ')}`);
      const record = records.get(ids[0] ?? '');
      if (!record) throw new SjsError('RUN_NOT_FOUND', `there is no run ${idOrPrefix}`);
      return copy(record);
    },
    listRecords: ({ limit = Infinity, seal, isOpen, where }) =>
      Promise.resolve(
        [...records.values()]
          .filter(
            (record) =>
              (seal === undefined || record.seal === seal) &&
              !(isOpen && isFinished(record)) &&
              (where?.(record) ?? true),
          )
          .sort((a, b) => (a.id < b.id ? 1 : -1))
          .slice(0, limit)
          .map(copy),
      ),
    listOpen: () =>
      Promise.resolve([...records.values()].filter((record) => !isFinished(record)).map(({ id }) => id)),
    removeRecord: async (id) => {
      receipts.delete(id);
      await Promise.resolve(records.delete(id));
    },
    saveReceipt: async (runId, text) => {
      if (!isUlid(runId)) throw new SjsError('STORE_INVALID', 'not the id of a run');
      await Promise.resolve(receipts.set(runId, text));
    },
    readReceipt: (runId) => Promise.resolve(receipts.get(runId) ?? null),
    listReceipts: () => Promise.resolve([...receipts.keys()]),

    sendSignal: async (runId, request) =>
      void (await Promise.resolve(signals.set(runId, [...(signals.get(runId) ?? []), copy(request)]))),
    takeSignals: async (runId) => {
      const requests = signals.get(runId) ?? [];
      signals.delete(runId);
      return Promise.resolve(requests);
    },

    openGrowing: ({ runId, stream }) => {
      const chunks = growing.get(`${runId} ${stream}`);
      let at = 0;
      return Promise.resolve(
        chunks
          ? {
              read: () => {
                const fresh = Buffer.concat(chunks.slice(at));
                at = chunks.length;
                return Promise.resolve(fresh);
              },
              close: () => Promise.resolve(),
            }
          : null,
      );
    },
    createBlob: (name) => {
      const chunks: Uint8Array[] = [];
      const key = `${name?.runId} ${name?.stream}`;
      let bytes = 0;
      let done = false;
      return Promise.resolve({
        get bytes() {
          return bytes;
        },
        write: (chunk: Uint8Array) => {
          if (done) return Promise.reject(new Error('the content is already committed or discarded'));
          chunks.push(Buffer.from(chunk));
          if (name) growing.set(key, chunks);
          bytes += chunk.length;
          return Promise.resolve();
        },
        async commit() {
          const { digest, kept } = this.finish();
          await kept;
          return { digest, bytes };
        },
        finish: () => {
          done = true;
          growing.delete(key);
          const content = Buffer.concat(chunks);
          const digest = sha256(content);
          blobs.set(digest, content);
          return { digest, bytes, placed: Promise.resolve(), kept: Promise.resolve() };
        },
        discard: () => {
          done = true;
          growing.delete(key);
          return Promise.resolve();
        },
      });
    },
    openBlob: (digest) => {
      const content = blobs.get(digest);
      const chunks = async function* () {
        await Promise.resolve();
        if (!content) throw new SjsError('STORE_INVALID', `${digest} is gone`);
        if (content.length > 0) yield content;
      };
      return Readable.from(chunks(), { objectMode: false });
    },
    hasBlob: (digest) => Promise.resolve(blobs.has(digest)),
    renewBlob: (digest) => Promise.resolve(blobs.has(digest)),
    pruneBlobs: ({ without } = {}) => {
      const text = JSON.stringify([...records.values()].filter(({ id }) => !without?.includes(id)));
      const gone = [...blobs].filter(([digest]) => !text.includes(digest));
      if (!without) for (const [digest] of gone) blobs.delete(digest);
      return Promise.resolve({
        count: gone.length,
        bytes: gone.reduce((sum, [, content]) => sum + content.length, 0),
      });
    },

    saveImage: async (entry) => {
      inputs.set(entry.inputs, copy(entry));
      await Promise.resolve(images.set(entry.seal, copy(entry)));
    },
    updateImage: async (seal, change) => {
      const entry = change(copy(images.get(seal) ?? null));
      inputs.set(entry.inputs, copy(entry));
      images.set(seal, copy(entry));
      return Promise.resolve(copy(entry));
    },
    listImages: () =>
      Promise.resolve([...images.values()].map(copy).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1))),
    findImageBySeal: (seal) => Promise.resolve(copy(images.get(seal) ?? null)),
    saveSealStatement: async (seal, text) => void (await Promise.resolve(statements.set(seal, text))),
    readSealStatement: (seal) => Promise.resolve(statements.get(seal) ?? null),
    sealStatementFile: (seal) => `${home}/statements/${seal}`,
    findImageByInputs: (digest) => {
      const entry = inputs.get(digest);
      return Promise.resolve(entry && images.has(entry.seal) ? copy(entry) : null);
    },
    removeImage: async (seal) => {
      statements.delete(seal);
      await Promise.resolve(images.delete(seal));
    },

    fingerprint: (value) =>
      Promise.resolve(createHmac('sha256', `key of ${home}`).update(value).digest('hex')),
    readCache: (kind, key) => Promise.resolve(JSON.parse(cache.get(`${kind}/${key}`) ?? 'null') as unknown),
    writeCache: async (kind, key, value) =>
      void (await Promise.resolve(cache.set(`${kind}/${key}`, JSON.stringify(value)))),
    removeStaleTemp: () => Promise.resolve(0),
  };
}
