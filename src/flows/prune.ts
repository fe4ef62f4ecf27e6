import type { Policy } from '../model/policy.js';
import { contentsOf, isFinished } from '../model/record.js';
import type { Clock } from '../ports/clock.js';
import type { ImageStore } from '../ports/image-store.js';
import type { RecordStore } from '../ports/record-store.js';
import { effectiveRetention } from '../stages/policy/effective-policy.js';

/** What was removed. */
export interface PruneResult {
  /** Ids of records that retention has outlived. */
  readonly records: readonly string[];
  /** Contents that no record refers to. */
  readonly contents: { readonly count: number; readonly bytes: number };
  /** Tags of sealed images that no record refers to and that are older than retention. */
  readonly images: readonly string[];
}

/** What pruning needs of the world. */
export interface PruneTools {
  readonly store: RecordStore;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly loadPolicy: () => Promise<Policy>;
}

/**
 * Removes what retention has outlived: the strictest layer's age and size count. Running runs are never touched. With
 * `dryRun` nothing is removed, and the result says what would be.
 */
export async function prune(
  tools: PruneTools,
  { dryRun, signal }: { readonly dryRun: boolean; readonly signal?: AbortSignal | undefined },
): Promise<PruneResult> {
  const policy = await tools.loadPolicy();
  const { ageMs, bytes: limitBytes } = effectiveRetention(policy);
  const oldest = tools.clock.now() - ageMs;

  const removed: string[] = [];
  const usedSeals = new Set<string>();
  let keptBytes = 0;
  for (const record of await tools.store.listRecords({})) {
    const bytes = contentsOf(record).reduce((sum, content) => sum + content.bytes, 0);
    if (isFinished(record) && (Date.parse(record.createdAt) < oldest || keptBytes + bytes > limitBytes)) {
      if (!dryRun) await tools.store.removeRecord(record.id);
      removed.push(record.id);
    } else {
      keptBytes += bytes;
      usedSeals.add(record.seal);
      if (record.network.mode !== 'none' && record.network.gateway) usedSeals.add(record.network.gateway);
    }
  }

  const images: string[] = [];
  for (const entry of await tools.store.listImages()) {
    if (usedSeals.has(entry.seal) || Date.parse(entry.usedAt ?? entry.createdAt) >= oldest) continue;
    if (!dryRun) {
      // A container uses it: another day.
      if (!(await tools.images.remove(entry.tag, signal))) continue;
      await tools.store.removeImage(entry.seal);
    }
    images.push(entry.tag);
  }
  const contents = await tools.store.pruneBlobs(dryRun ? { without: removed } : {});
  return { records: removed, contents, images };
}
