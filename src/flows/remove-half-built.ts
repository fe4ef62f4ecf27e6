import { BUILDING, readBuildingTag } from '../model/building-tag.js';
import type { Owner } from '../model/record.js';
import type { ImageStore } from '../ports/image-store.js';
import type { RecordStore } from '../ports/record-store.js';

/** What that needs of the world. */
export interface HalfBuiltTools {
  readonly images: ImageStore;
  readonly store: RecordStore;
  readonly isOwnerAlive: (owner: Owner) => Promise<boolean>;
}

/**
 * Removes images that builds of dead processes never came to seal. A matter of builds and of prune: to find them, the
 * engine goes through all its images, which a run need not wait for.
 */
export async function removeHalfBuilt(
  { images, store, isOwnerAlive }: HalfBuiltTools,
  signal?: AbortSignal,
): Promise<void> {
  for (const tag of await images.listTags(BUILDING, signal)) {
    const owner = readBuildingTag(tag, store.home);
    if (owner !== null && !(await isOwnerAlive(owner))) await images.remove(tag, signal);
  }
}
