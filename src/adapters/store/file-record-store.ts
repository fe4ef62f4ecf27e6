import { createHmac, randomBytes } from 'node:crypto';
import { systemClock, type Clock } from '../../ports/clock.js';
import type { RecordStore } from '../../ports/record-store.js';
import { timeOfUlid } from '../../model/ulid.js';
import { BlobFiles, pruneCutoff } from './blobs.js';
import { CacheFiles } from './cache.js';
import { HomeFolder } from './home-folder.js';
import { ImageFiles } from './images.js';
import { parseRecord } from './record-shape.js';
import { ReceiptFiles } from './receipts.js';
import { RecordFiles } from './records.js';
import { SignalFiles } from './signals.js';
import { invalidFile } from './store-error.js';

const KEY_BYTES = 32;

/**
 * The store in plain files under an absolute SJS_HOME, which is made when first written to (folders 0700, files 0600).
 * Every call fails with `STORE_FAILED` when the folder belongs to another user or others can write to it.
 * @param path absolute
 * @param clock for the age of contents
 */
export function createFileRecordStore(path: string, clock: Pick<Clock, 'now'> = systemClock): RecordStore {
  const home = new HomeFolder(path);
  const records = new RecordFiles(home);
  const blobs = new BlobFiles(home, clock);
  const images = new ImageFiles(home);
  const cache = new CacheFiles(home);
  const receipts = new ReceiptFiles(home);
  const signals = new SignalFiles(home, clock);
  const removeStaleTemp = async (): Promise<number> => {
    await records.removeStaleMarkers(clock.now());
    await signals.removeStale(await records.listOpen());
    return home.removeStaleTemp(clock.now());
  };
  return {
    home: home.path,
    saveRecord: (record, first) => records.save(record, first),
    putRecord: (record) => records.put(record),
    parseRecord,
    findRecord: (idOrPrefix) => records.find(idOrPrefix),
    listRecords: (query) => records.list(query),
    listOpen: () => records.listOpen(),
    removeRecord: async (id) => {
      await records.remove(id);
      await receipts.remove(id);
    },
    saveReceipt: (runId, text) => receipts.save(runId, text),
    readReceipt: (runId) => receipts.read(runId),
    listReceipts: () => Promise.resolve(receipts.list()),
    sendSignal: (runId, request) => signals.send(runId, request),
    takeSignals: (runId) => signals.take(runId),
    createBlob: (name) => Promise.resolve(blobs.create(name)),
    openGrowing: (name) => blobs.openGrowing(name),
    openBlob: (digest) => blobs.open(digest),
    hasBlob: (digest) => blobs.has(digest),
    renewBlob: (digest) => Promise.resolve(digest).then((one) => blobs.renew(one)),
    pruneBlobs: async ({ without } = {}) => {
      const now = clock.now();
      if (!without) {
        await removeStaleTemp();
        await images.removeStaleInputs();
      }
      const open = await records.listOpen();
      const oldest = open.length > 0 ? Math.min(...open.map(timeOfUlid)) : null;
      const kept = await records.listDigests(without);
      return blobs.prune(kept, pruneCutoff(now, oldest), without !== undefined);
    },
    saveImage: (entry) => images.save(entry),
    updateImage: (seal, change) => images.update(seal, change),
    listImages: (onInvalid) => Promise.resolve().then(() => images.list(onInvalid)),
    findImageBySeal: (seal) => images.findBySeal(seal),
    saveSealStatement: (seal, text) => images.saveStatement(seal, text),
    readSealStatement: (seal) => images.readStatement(seal),
    sealStatementFile: (seal) => images.statementFile(seal),
    findImageByInputs: (inputs) => images.findByInputs(inputs),
    removeImage: (seal) => images.remove(seal),
    fingerprint: async (value) =>
      createHmac('sha256', await readKey(home))
        .update(value)
        .digest('hex'),
    readCache: (kind, key) => cache.read(kind, key),
    writeCache: (kind, key, value) => cache.write(kind, key, value),
    removeStaleTemp,
  };
}

/** The key of this home, made by whoever needs it first. */
async function readKey(home: HomeFolder): Promise<Buffer> {
  home.check();
  const found = await home.read('', 'key');
  if (!found) await home.write('', 'key', randomBytes(KEY_BYTES), 'keep');
  const key = found ?? (await home.read('', 'key'));
  if (key?.length !== KEY_BYTES) {
    throw invalidFile(
      home.at('key'),
      `has ${key?.length ?? 0} bytes instead of ${KEY_BYTES}`,
      'restore it from a backup; without it, runs with secrets cannot be replayed (then remove the file)',
    );
  }
  return key;
}
