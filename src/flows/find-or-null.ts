import { SjsError } from '../errors.js';
import type { RunRecord } from '../model/record.js';
import type { RecordStore } from '../ports/record-store.js';

/**
 * The record, or null where there is none.
 * @throws SjsError for one that cannot be read: that is not one that is not there
 */
export async function findOrNull(
  id: string,
  store: Pick<RecordStore, 'findRecord'>,
): Promise<RunRecord | null> {
  try {
    return await store.findRecord(id);
  } catch (error) {
    if (error instanceof SjsError && error.code === 'RUN_NOT_FOUND') return null;
    throw error;
  }
}
