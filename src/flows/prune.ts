import type { Policy } from '../model/policy.js';
import { contentsOf, isFinished, type RunRecord } from '../model/record.js';
import type { IndexEntry } from '../model/sealed-image.js';
import type { Clock } from '../ports/clock.js';
import type { ImageStore } from '../ports/image-store.js';
import type { PackageRegistry } from '../ports/package-registry.js';
import type { RecordStore } from '../ports/record-store.js';
import { readLock } from '../stages/lock/lock-file.js';
import { effectiveRetention } from '../stages/policy/effective-policy.js';

/** Something that retention has outlived, and that stays all the same. */
export interface Kept {
  readonly what: 'run' | 'image';
  /** Id of the run, tag of the image. */
  readonly name: string;
  readonly why: string;
}

/** What was removed. */
export interface PruneResult {
  /** Ids of records that retention has outlived. */
  readonly records: readonly string[];
  /** Contents that no record refers to. */
  readonly contents: { readonly count: number; readonly bytes: number };
  /** Tags of sealed images that nothing needs and that are older than retention. */
  readonly images: readonly string[];
  /** Cached packages that no build has asked for since. */
  readonly packages: { readonly count: number; readonly bytes: number };
  readonly kept: readonly Kept[];
}

/** What pruning needs of the world. */
export interface PruneTools {
  readonly store: RecordStore;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly packages: () => Promise<Pick<PackageRegistry, 'prune'>>;
  readonly loadPolicy: () => Promise<Policy>;
}

/** How to prune. */
export interface PruneOptions {
  readonly dryRun: boolean;
  /** What was sealed of code without a sandbox.yaml goes with its runs, however young. */
  readonly adHoc?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Of code without a sandbox.yaml nobody expects the image back: its runs keep it, and nothing else for longer. */
const AD_HOC_MS = 24 * 3_600_000;

/**
 * Removes what retention has outlived: the strictest layer's age and size count. Running runs are never touched, nor
 * what is needed: a run with a receipt, with its contents and image; the image of a kept run; the newest image that was
 * built beside a sandbox.lock, as long as that lock is there and names its base; what a kept image was rebased from. Of
 * packages age alone counts: they can be had again. Bases are not sjs's to remove. With `dryRun` nothing is
 * removed, and the result says what would be.
 */
export async function prune(
  tools: PruneTools,
  { dryRun, adHoc = false, signal }: PruneOptions,
): Promise<PruneResult> {
  const { store, images: engine, clock, loadPolicy } = tools;
  const { ageMs, bytes: limitBytes } = effectiveRetention(await loadPolicy());
  const oldest = clock.now() - ageMs;
  const [records, entries] = await Promise.all([store.listRecords({}), store.listImages()]);
  const receipts = new Set(await store.listReceipts());
  const adHocSeals = new Set(entries.flatMap(({ seal, isAdHoc }) => (isAdHoc ? [seal] : [])));

  const removed: string[] = [];
  const kept: Kept[] = [];
  const needed = new Map<string, string>();
  let keptBytes = 0;
  for (const record of records) {
    const bytes = contentsOf(record).reduce((sum, content) => sum + content.bytes, 0);
    const isOutlived =
      Date.parse(record.createdAt) < oldest ||
      keptBytes + bytes > limitBytes ||
      (adHoc && adHocSeals.has(record.seal));
    const why = whyKept(record, receipts);
    if (isOutlived && why === null) {
      if (!dryRun) await store.removeRecord(record.id);
      removed.push(record.id);
      continue;
    }
    if (isOutlived && why !== null) kept.push({ what: 'run', name: record.id, why });
    keptBytes += bytes;
    const reason = receipts.has(record.id) ? `the receipt of run ${record.id}` : `run ${record.id}`;
    needed.set(record.seal, reason);
    const { network } = record;
    if (network.mode !== 'none' && network.gateway) needed.set(network.gateway, reason);
  }

  for (const [seal, folder] of await lockedSeals(entries)) {
    if (!needed.has(seal)) needed.set(seal, `the lock in ${folder}`);
  }
  const isOutlived = ({ createdAt, usedAt, isAdHoc }: IndexEntry): boolean => {
    const age = clock.now() - Date.parse(usedAt ?? createdAt);
    return age > (isAdHoc ? (adHoc ? -1 : Math.min(AD_HOC_MS, ageMs)) : ageMs);
  };
  keepLineage(entries, isOutlived, needed);
  const images: string[] = [];
  for (const entry of entries.filter(isOutlived)) {
    const why = needed.get(entry.seal);
    if (why !== undefined) {
      kept.push({ what: 'image', name: entry.tag, why: `${why} needs it` });
      continue;
    }
    if (!dryRun) {
      if (!(await engine.remove(entry.tag, signal))) {
        // Another day.
        kept.push({ what: 'image', name: entry.tag, why: 'a container uses it' });
        continue;
      }
      await store.removeImage(entry.seal);
    }
    images.push(entry.tag);
  }
  const contents = await store.pruneBlobs(dryRun ? { without: removed } : {});
  const packages = await (await tools.packages()).prune({ before: oldest, dryRun });
  return { records: removed, contents, images, packages, kept };
}

function whyKept(record: RunRecord, receipts: ReadonlySet<string>): string | null {
  if (!isFinished(record)) return 'it is not over';
  return receipts.has(record.id) ? 'it has a receipt' : null;
}

/** The newest seal of each sandbox.lock that is still there and names the base that it stands on, with its folder. */
async function lockedSeals(entries: readonly IndexEntry[]): Promise<ReadonlyMap<string, string>> {
  const newest = new Map<string, IndexEntry>();
  const builtAt = ({ usedAt, createdAt }: IndexEntry): string => usedAt ?? createdAt;
  for (const entry of entries) {
    const other = entry.lockedIn === undefined ? undefined : newest.get(entry.lockedIn);
    if (entry.lockedIn !== undefined && (!other || builtAt(other) < builtAt(entry))) {
      newest.set(entry.lockedIn, entry);
    }
  }
  const found = new Map<string, string>();
  for (const [folder, { seal, base }] of newest) {
    // One that cannot be read is there all the same.
    const lock = await readLock(folder).catch(() => undefined);
    if (lock === undefined) found.set(seal, folder);
    if (lock?.base.image === base.image && lock.base.digest === base.digest) found.set(seal, folder);
  }
  return found;
}

/** What a kept image was rebased from is kept too, up to the one that was built. */
function keepLineage(
  entries: readonly IndexEntry[],
  isOutlived: (entry: IndexEntry) => boolean,
  needed: Map<string, string>,
): void {
  const bySeal = new Map(entries.map((entry) => [entry.seal, entry]));
  for (const entry of entries) {
    if (isOutlived(entry) && !needed.has(entry.seal)) continue;
    const passed = new Set<string>([entry.seal]);
    for (let from = entry.rebasedFrom; from !== undefined && !passed.has(from);) {
      passed.add(from);
      if (!needed.has(from)) needed.set(from, `${entry.tag}, which was rebased from it,`);
      from = bySeal.get(from)?.rebasedFrom;
    }
  }
}
