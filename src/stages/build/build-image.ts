import type { Readable } from 'node:stream';
import type { VerifiedBase } from '../../model/base.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { sha256, type Digest } from '../../model/digest.js';
import { FORMAT_VERSION, type ImageFacts } from '../../model/sealed-image.js';
import { LAYER_VERSION } from '../../model/locked-package.js';
import { SjsError } from '../../errors.js';
import type { ImageStore } from '../../ports/image-store.js';
import type { RegistryCredentials } from '../../ports/registry.js';

/** The part of a packed context that a build needs. */
interface Context {
  readonly digest: Digest;
  open(): Readable;
}

/** What is asked of a base's file system: under other rules it is looked at, and built over, again. */
const BASE_RULES = 2;

/**
 * Digest over everything that goes into a build: equal inputs give an equal seal, so they need no second build. What the
 * policy overlooked in the base counts too: a stricter one has to look again.
 * @param packages digest of the list of packages, whose integrities name all bytes of their layer
 */
export function inputsDigest(
  base: VerifiedBase,
  context: Pick<Context, 'digest'>,
  packages: Digest | null = null,
): Digest {
  return sha256(
    canonicalJson({
      formatVersion: FORMAT_VERSION,
      rules: BASE_RULES,
      platform: base.platform,
      base: base.manifestDigest,
      context: context.digest,
      ...(base.allowSetuidFiles && { allowSetuidFiles: true }),
      ...(packages !== null && { packages, layerVersion: LAYER_VERSION }),
    }),
  );
}

/** Who to tell, what to stop by, and how to log in. */
export interface BuildEnvironment {
  readonly images: ImageStore;
  readonly credentials: () => Promise<RegistryCredentials | null>;
  readonly onProgress: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Layers of real bases unpack to three or four times their size. */
const MOST_RATIO = 20;
/** A small one may hold a large file of nothing. */
const ALWAYS_TAKEN_BYTES = 256 * 1024 ** 2;
const MOST_UNPACKED_BYTES = 8 * 1024 ** 3;

/** What a base may unpack to (ATTACKS B24). */
const mostUnpacked = (compressedBytes: number): number =>
  Math.min(MOST_UNPACKED_BYTES, Math.max(ALWAYS_TAKEN_BYTES, compressedBytes * MOST_RATIO));

/**
 * Makes the engine hold the verified base, by the digest that was verified, and its layers are those verified. How much
 * it unpacks to is known when the engine has unpacked it: one that is too large is removed again.
 * @throws SjsError `BASE_TOO_LARGE`, `BASE_DIGEST_MISMATCH`.
 */
export async function fetchBase(
  base: VerifiedBase,
  { images, credentials, onProgress, signal }: BuildEnvironment,
): Promise<ImageFacts> {
  const reference = { ...base.repository, digest: base.manifestDigest };
  const name = `${base.repository.registry}/${base.repository.path}@${base.manifestDigest}`;
  let found = await images.inspect(name, signal);
  const isNew = found === null;
  if (isNew) {
    await images.pull(reference, await credentials(), onProgress, signal);
    found = await images.inspect(name, signal);
  }
  if (!found || canonicalJson(found.diffIds) !== canonicalJson(base.diffIds)) {
    throw new SjsError(
      'BASE_DIGEST_MISMATCH',
      `the engine's ${name} does not have the layers that were verified`,
      {
        next: `remove it with docker image rm ${name} and build again`,
      },
    );
  }
  const unpackedBytes = await images.unpackedBytes(found.imageId, base.manifestDigest, signal);
  const limit = mostUnpacked(base.compressedBytes);
  if (unpackedBytes === null || !(unpackedBytes <= limit)) {
    const isGone = isNew && (await images.remove(name).catch(() => false));
    throw new SjsError(
      'BASE_TOO_LARGE',
      `${name} unpacks to ${unpackedBytes ?? 'unknown'} bytes, of its ${base.compressedBytes} at most ${limit} are taken`,
      { next: `use a smaller base${isGone ? '' : `, and free the disk: docker image rm ${name}`}` },
    );
  }
  return found;
}

/**
 * Builds the context over the base that the engine holds under a tag of its own, and returns what it made, read back
 * from the engine.
 * @throws SjsError `BUILD_FAILED`, `BUILD_TIMEOUT`, `SOURCE_CHANGED`.
 */
export async function buildImage(
  context: Context,
  tag: string,
  { images, onProgress, signal }: BuildEnvironment,
): Promise<ImageFacts> {
  const imageId = await images.build(() => context.open(), tag, onProgress, signal);
  const image = await images.inspect(imageId, signal);
  if (!image) {
    throw new SjsError('BUILD_FAILED', `the engine said it built ${imageId} and does not have it`, {
      next: 'build again',
    });
  }
  return image;
}
