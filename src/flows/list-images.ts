import { LABELS, type IndexEntry } from '../model/sealed-image.js';
import type { ImageStore } from '../ports/image-store.js';
import type { RecordStore } from '../ports/record-store.js';

/** A sealed image in a listing. */
export interface ListedImage extends IndexEntry {
  /** Whether the engine still has it under its tag. */
  readonly isPresent: boolean;
  readonly sizeBytes: number | null;
}

/** What listing needs of the world. */
export interface ListTools {
  readonly store: Pick<RecordStore, 'listImages'>;
  readonly images: Pick<ImageStore, 'listLabelled'>;
}

/** The index of seals, and what the engine has of it. */
export async function listImages({ store, images }: ListTools): Promise<readonly ListedImage[]> {
  const [entries, present] = await Promise.all([store.listImages(), images.listLabelled(LABELS.format)]);
  const byTag = new Map(present.flatMap((image) => image.tags.map((tag) => [tag, image] as const)));
  return entries.map((entry) => ({
    ...entry,
    isPresent: byTag.has(entry.tag),
    sizeBytes: byTag.get(entry.tag)?.sizeBytes ?? null,
  }));
}
