import { SjsError } from '../errors.js';
import type { IndexEntry } from '../model/sealed-image.js';
import { findEntry, type TargetTools } from './find-target.js';

/**
 * Removes a sealed image from the engine and from the index; the records of its runs stay.
 * @throws SjsError as finding it does, and `ENGINE_FAILED` while a container uses it.
 */
export async function removeImage(target: string, tools: TargetTools): Promise<IndexEntry> {
  const entry = await findEntry(target, tools);
  if (!(await tools.images.remove(entry.tag))) {
    throw new SjsError('ENGINE_FAILED', `a container uses ${entry.tag}`, {
      next: 'see docker ps --all; remove the container first',
    });
  }
  await tools.store.removeImage(entry.seal);
  return entry;
}
