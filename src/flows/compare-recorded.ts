import { SjsError } from '../errors.js';
import type { ReplayVerdict, RunRecord } from '../model/record.js';
import type { RecordStore } from '../ports/record-store.js';
import { compareRuns } from '../stages/compare/compare-runs.js';

type Contents = Pick<RecordStore, 'hasBlob' | 'openBlob'>;

/** {@link compareRuns} with what is kept of their output: a run that was cut short must at least have begun the same. */
export async function compareRecorded(
  original: RunRecord,
  replay: RunRecord,
  store: Contents,
): Promise<ReplayVerdict> {
  const [stdout, stderr] = await findBeginnings(original, replay, store);
  return compareRuns(original, replay, { stdout, stderr });
}

/** What {@link compareRecorded} could say where all is kept: of output that is not kept here, either. */
export async function possibleVerdicts(
  original: RunRecord,
  replay: RunRecord,
  store: Contents,
): Promise<readonly ReplayVerdict[]> {
  const [out, err] = await findBeginnings(original, replay, store);
  const possible = (known: boolean | null): readonly (boolean | null)[] =>
    known === null ? [null, false] : [known];
  return possible(out).flatMap((stdout) =>
    possible(err).map((stderr) => compareRuns(original, replay, { stdout, stderr })),
  );
}

function findBeginnings(
  original: RunRecord,
  replay: RunRecord,
  store: Contents,
): Promise<[stdout: boolean | null, stderr: boolean | null]> {
  const begin = async (name: 'stdout' | 'stderr'): Promise<boolean | null> => {
    const [one, other] = [original[name], replay[name]];
    if (!one || !other || one.bytes === other.bytes) return null;
    const [shorter, longer] = one.bytes < other.bytes ? [one, other] : [other, one];
    const isThere = await Promise.all([shorter, longer].map(({ digest }) => store.hasBlob(digest)));
    if (isThere.includes(false)) return null;
    try {
      return await beginsWith(store.openBlob(longer.digest), store.openBlob(shorter.digest));
    } catch (error) {
      // What somebody changed on the disk says nothing.
      if (error instanceof SjsError && error.code === 'STORE_INVALID') return null;
      throw error;
    }
  };
  return Promise.all([begin('stdout'), begin('stderr')]);
}

/** Whether a content begins with another; all of both is read, so that each is checked. */
async function beginsWith(
  whole: AsyncIterable<Uint8Array>,
  beginning: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const rest = whole[Symbol.asyncIterator]();
  let left: Uint8Array = new Uint8Array(0);
  let isSame = true;
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
        isSame &&= wanted.compare(left, 0, size, 0, size) === 0;
        [left, wanted] = [left.subarray(size), wanted.subarray(size)];
      }
    }
    while (!(await rest.next()).done);
    return isSame;
  } finally {
    await rest.return?.();
  }
}
