import { SjsError } from '../errors.js';
import type { VerifiedBase } from '../model/base.js';
import type { BuildFacts } from '../model/build-facts.js';
import { formatRepository } from '../model/reference.js';
import {
  computeSeal,
  FORMAT_VERSION,
  formatTag,
  type ImageFacts,
  type IndexEntry,
  type SealedImage,
} from '../model/sealed-image.js';
import type { RecordStore } from '../ports/record-store.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import type { BuildTools } from './build-sandbox.js';

/**
 * What is built again is in use, however old it is: prune looks at this; and it is the newest of its name again. The
 * same seal may come from another repository of the same base: verify asks the one that was verified last.
 */
export async function refresh(
  known: IndexEntry,
  changed: Partial<IndexEntry>,
  { store, clock }: Pick<BuildTools, 'store' | 'clock'>,
): Promise<IndexEntry> {
  const usedAt = new Date(clock.now()).toISOString();
  return store.updateImage(known.seal, (now) => ({ ...(now ?? known), ...changed, usedAt }));
}

/** What the index keeps of a base. */
export const baseOf = (base: VerifiedBase): IndexEntry['base'] => ({
  image: formatRepository(base.repository),
  digest: base.digest,
  manifestDigest: base.manifestDigest,
  version: base.signedVersion,
});

/** What a build, or a rebase, made a seal of. */
interface Made extends Pick<IndexEntry, 'name' | 'version' | 'inputs'> {
  readonly base: VerifiedBase;
  readonly build: BuildFacts;
}

/** Seals what was built and enters it in the index; the tag is for the caller to move, last. */
export async function enterSealed(
  image: ImageFacts,
  { name, version, inputs, base, build }: Made,
  more: Pick<IndexEntry, 'lockedIn' | 'isAdHoc' | 'rebasedFrom' | 'origin'>,
  { store, reporter }: Pick<BuildTools, 'store' | 'reporter'>,
): Promise<SealedImage> {
  const seal = computeSeal(image);
  reporter.step('seal', seal);
  const entry: IndexEntry = {
    formatVersion: FORMAT_VERSION,
    seal,
    tag: formatTag(name, version, seal),
    name,
    version,
    imageId: image.imageId,
    inputs,
    base: baseOf(base),
    createdAt: build.finishedAt,
    build,
    ...more,
  };
  checkSeal(image, entry);
  await refuseTaken(entry, store);
  // The engine may have lost the image of a seal that was signed and pushed: it still is.
  const saved = await store.updateImage(seal, (earlier) => ({
    ...entry,
    ...(earlier?.pushed && { pushed: earlier.pushed }),
    ...(earlier?.signatures && { signatures: earlier.signatures }),
  }));
  return checkSeal(image, saved);
}

/**
 * A tag has twelve digits of its seal: an author can look for two contents that share them (ATTACKS S02).
 * @throws SjsError `SEAL_REFUSED` rather than move the tag of another seal.
 */
export async function refuseTaken(
  { tag, seal }: IndexEntry,
  store: Pick<RecordStore, 'listImages'>,
): Promise<void> {
  const taken = (await store.listImages()).find((other) => other.tag === tag && other.seal !== seal);
  if (!taken) return;
  throw new SjsError('SEAL_REFUSED', `${tag} is the tag of another seal, ${taken.seal}`, {
    next: 'change metadata.version and build again: a tag is never moved',
  });
}
