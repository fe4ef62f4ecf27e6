import { SjsError } from '../errors.js';
import { formatBuildingTag } from '../model/building-tag.js';
import { sha256, type Digest } from '../model/digest.js';
import type { Owner } from '../model/record.js';
import { GATEWAY_NAME } from '../model/sandbox.js';
import {
  FORMAT_VERSION,
  formatTag,
  type ImportedSeal,
  type IndexEntry,
  type SealedImage,
  type SealedLabels,
} from '../model/sealed-image.js';
import type { Clock } from '../ports/clock.js';
import type { Reporter } from '../ports/reporter.js';
import { checkSeal } from '../stages/seal/check-seal.js';
import type { CheckedProvenance } from '../stages/verify/check-provenance.js';
import { refuseTaken } from './enter-sealed.js';
import type { TargetTools } from './find-target.js';

/** What taking in a sealed image needs of the world. */
export interface TakeInTools extends TargetTools {
  readonly clock: Clock;
  readonly reporter: Reporter;
  readonly owner: () => Promise<Owner>;
  readonly createId: () => string;
}

/**
 * The entry of a seal that others made: what its labels say, which the seal covers, and where its base was said to be.
 * Nothing that a later build could take for its own: its inputs are those of no build.
 * @throws SjsError `SEAL_REFUSED` for a gateway, which comes from nowhere else
 */
export function foreignEntry(
  seal: Digest,
  { name, version, baseDigest, baseVersion }: SealedLabels,
  base: Pick<IndexEntry['base'], 'image' | 'digest'>,
  trustedBy: ImportedSeal['trustedBy'],
  { clock }: Pick<TakeInTools, 'clock'>,
): IndexEntry {
  if (name === GATEWAY_NAME) {
    throw new SjsError('SEAL_REFUSED', `${GATEWAY_NAME} is the gateway of another sjs`, {
      next: 'take in what needs it instead: sjs builds the gateway that goes with it',
    });
  }
  const now = new Date(clock.now()).toISOString();
  return {
    formatVersion: FORMAT_VERSION,
    seal,
    tag: formatTag(name, version, seal),
    name,
    version,
    imageId: '',
    inputs: sha256(`imported\n${seal}`),
    base: { image: base.image, digest: base.digest, manifestDigest: baseDigest, version: baseVersion },
    createdAt: now,
    imported: { at: now, trustedBy },
  };
}

/** The entry of a seal that others made, trusted by something else from now on; one of our own as it is. */
export const nowTrustedBy = (entry: IndexEntry, trustedBy: ImportedSeal['trustedBy']): IndexEntry =>
  entry.imported ? { ...entry, imported: { ...entry.imported, trustedBy } } : entry;

/**
 * The entry of a seal that others made, over the base that its signed provenance names: what an export claimed of it gives
 * way. One whose base was verified here, and one of our own, as it is.
 */
export const withSignedBase = (
  entry: IndexEntry,
  { baseImage, signedBase }: Pick<CheckedProvenance, 'baseImage' | 'signedBase'>,
): IndexEntry =>
  entry.imported && !entry.imported.isBaseVerified
    ? { ...entry, base: { ...entry.base, image: baseImage ?? '', digest: signedBase } }
    : entry;

/** What comes in. */
export interface Incoming {
  readonly entry: IndexEntry;
  /** The entry from what the index has by then: somebody else may have changed it meanwhile. */
  readonly update: (now: IndexEntry | null) => IndexEntry;
  /** Whether what the engine has under the tag is enough, when its seal is the same. */
  readonly isKnown: boolean;
  /** Has the engine get the image, under the tag that is given. */
  readonly bring: (building: string) => Promise<void>;
}

/**
 * Makes the engine hold an image under its tag, unless it does; the index first, the tag last, as a build does. Until it is
 * sealed it has a tag that says who is at work.
 * @throws SjsError `SEAL_REFUSED`, `SEAL_MISMATCH`, and what bringing it fails with
 */
export async function takeIn(
  { entry, update, isKnown, bring }: Incoming,
  tools: TakeInTools,
  signal?: AbortSignal,
): Promise<SealedImage> {
  const { images, store, reporter } = tools;
  await refuseTaken(entry, store);
  const present = await images.inspect(entry.tag, signal);
  // Somebody else's image under this tag is not replaced.
  if (present) checkSeal(present, entry);
  if (present && isKnown) {
    const { imageId } = present;
    return checkSeal(present, await store.updateImage(entry.seal, (now) => ({ ...update(now), imageId })));
  }
  const building = formatBuildingTag(await tools.owner(), tools.createId().toLowerCase());
  try {
    await bring(building);
    const image = await images.inspect(building, signal);
    checkSeal(image, entry);
    const imageId = image?.imageId ?? '';
    const saved = await store.updateImage(entry.seal, (now) => ({ ...update(now), imageId }));
    await images.tag(imageId, entry.tag, signal);
    return checkSeal(image, saved);
  } finally {
    await images.remove(building).catch((error: unknown) => reporter.debug(String(error)));
  }
}
