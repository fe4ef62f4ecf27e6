import { SjsError } from '../errors.js';
import type { RunRecord } from '../model/record.js';
import type { RecordStore } from '../ports/record-store.js';

/**
 * Removes the record of a run; what it wrote is freed by a prune.
 * @throws SjsError `RUN_NOT_FOUND`, and `RUN_UNFINISHED` while it goes on.
 */
export async function removeRun(
  idOrPrefix: string,
  store: Pick<RecordStore, 'findRecord' | 'removeRecord'>,
): Promise<RunRecord> {
  const record = await store.findRecord(idOrPrefix);
  if (record.finishedAt === null) {
    throw new SjsError('RUN_UNFINISHED', `run ${record.id} is ${record.state}`, {
      next: `wait for its end, or end it: sjs stop ${record.id}; sjs rm -f kills it first`,
    });
  }
  await store.removeRecord(record.id);
  return record;
}
