import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import { EXPORT_NAMES, invalidExport } from '../model/export-file.js';
import { contentsOf, NO_OWNER, type RunRecord } from '../model/record.js';
import type { Clock } from '../ports/clock.js';
import type { RecordStore } from '../ports/record-store.js';
import type { SealedExport } from './read-export.js';

/**
 * Takes in the runs of an export that are not here yet, each marked as imported. Contents first: a record never refers
 * to what was only on its way. A run that is here already stays as it is.
 * @returns ids of those that came in
 * @throws SjsError `IMPORT_INVALID` for a content that is another than its name says
 */
export async function takeRuns(
  archive: SealedExport,
  { store, clock }: { readonly store: RecordStore; readonly clock: Pick<Clock, 'now'> },
): Promise<readonly string[]> {
  const at = new Date(clock.now()).toISOString();
  const inFile = new Set(archive.manifest.contents);
  const fresh = new Map<string, () => RunRecord>();
  const wanted = new Map<string, Digest>();
  for (const [id, read] of archive.records) {
    if (await isKnown(id, store)) continue;
    fresh.set(id, read);
    for (const { digest } of contentsOf(read())) {
      if (inFile.has(digest)) wanted.set(EXPORT_NAMES.blob(digest), digest);
    }
  }
  for await (const { name, content } of archive.open()) {
    const digest = wanted.get(name);
    if (digest === undefined) continue;
    const writer = await store.createBlob();
    try {
      for await (const chunk of content) await writer.write(chunk);
      const written = await writer.commit();
      if (written.digest !== digest)
        throw invalidExport(`${name} does not have the content its name promises`);
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }
  for (const read of fresh.values()) {
    await store.saveRecord({ ...read(), owner: NO_OWNER, imported: { at } });
  }
  return [...fresh.keys()];
}

async function isKnown(id: string, store: RecordStore): Promise<boolean> {
  try {
    await store.findRecord(id);
    return true;
  } catch (error) {
    if (error instanceof SjsError && error.code === 'RUN_NOT_FOUND') return false;
    throw error;
  }
}
