import type { ReplayVerdict, RunRecord } from '../model/record.js';
import type { RecordStore } from '../ports/record-store.js';
import { compareRuns, type Beginnings } from '../stages/compare/compare-runs.js';

/** {@link compareRuns} with what is kept of their output: a run that was cut short must at least have begun the same. */
export async function compareRecorded(
  original: RunRecord,
  replay: RunRecord,
  store: Pick<RecordStore, 'hasBlob' | 'openBlob'>,
): Promise<ReplayVerdict> {
  const begin = async (name: 'stdout' | 'stderr'): Promise<boolean | null> => {
    const [one, other] = [original[name], replay[name]];
    if (!one || !other || one.bytes === other.bytes) return null;
    const [shorter, longer] = one.bytes < other.bytes ? [one, other] : [other, one];
    const isThere = await Promise.all([shorter, longer].map(({ digest }) => store.hasBlob(digest)));
    if (isThere.includes(false)) return null;
    return beginsWith(store.openBlob(longer.digest), store.openBlob(shorter.digest));
  };
  const [stdout, stderr] = await Promise.all([begin('stdout'), begin('stderr')]);
  const beginnings: Beginnings = { stdout, stderr };
  return compareRuns(original, replay, beginnings);
}

/** Whether a content begins with another. */
async function beginsWith(
  whole: AsyncIterable<Uint8Array>,
  beginning: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const rest = whole[Symbol.asyncIterator]();
  let left: Uint8Array = new Uint8Array(0);
  try {
    for await (const chunk of beginning) {
      let wanted = Buffer.from(chunk);
      while (wanted.length > 0) {
        if (left.length === 0) {
          const next = await rest.next();
          if (next.done) return false;
          left = next.value;
        }
        const size = Math.min(left.length, wanted.length);
        if (wanted.compare(left, 0, size, 0, size) !== 0) return false;
        [left, wanted] = [left.subarray(size), wanted.subarray(size)];
      }
    }
    return true;
  } finally {
    await rest.return?.();
  }
}
