import type { Readable } from 'node:stream';
import type { Platform, RootfsFindings } from '../model/base.js';
import type { Digest } from '../model/digest.js';
import type { DigestReference, TagReference } from '../model/reference.js';
import type { ImageFacts } from '../model/sealed-image.js';
import type { Owner } from './engine.js';
import type { RegistryCredentials } from './registry.js';
import type { Watched } from './watched.js';

/**
 * The engine's images and its builder. Every call fails with `ENGINE_UNREACHABLE` or `ENGINE_TIMEOUT` when the engine
 * is not there or silent.
 */
export interface ImageStore {
  /** The platform the engine runs natively, in OCI's words. */
  platform(signal?: AbortSignal): Promise<Platform>;
  /** Versions of the engine that builds and of its runc; null for what it does not say. */
  versions(signal?: AbortSignal): Promise<{ readonly engine: string | null; readonly runc: string | null }>;
  /** What the engine says of an image, by its id, tag or `repository@digest`; null when it has none. Never pulls. */
  inspect(reference: string, signal?: AbortSignal): Promise<ImageFacts | null>;
  /** Watches over the names of all of its images, and what they name. */
  watch(): Watched;
  /** Makes the engine hold exactly this digest. Does nothing when it does already. */
  pull(
    reference: DigestReference,
    credentials: RegistryCredentials | null,
    onProgress: (message: string) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Pushes what the engine has under this name to the registry that it names, and returns the digest of the manifest that
   * the engine says is there now. `PUSH_FAILED` with the engine's words.
   */
  push(
    target: TagReference,
    credentials: RegistryCredentials | null,
    onProgress: (message: string) => void,
    signal?: AbortSignal,
  ): Promise<Digest>;
  /**
   * Builds the context (an uncompressed tar with a `Dockerfile` at its root) with BuildKit and returns the image's id.
   * An engine that lost the context on its way asks for it a second time.
   * The image never exists without the tag.
   * A stream that ends is no success: an in-band error, a broken stream, bad JSON or a missing id is `BUILD_FAILED`.
   */
  build(
    openContext: () => Readable,
    tag: string,
    onProgress: (message: string) => void,
    signal?: AbortSignal,
  ): Promise<string>;
  /** Points a tag at an image. */
  tag(imageId: string, tag: string, signal?: AbortSignal): Promise<void>;
  /**
   * Removes a tag, and its image when it was the last one. Does nothing when there is none; false when the image cannot
   * go because a container uses it.
   */
  remove(tag: string, signal?: AbortSignal): Promise<boolean>;
  /** Tags of a repository that the engine has. */
  listTags(repository: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** Images that carry the label, tagged or not. */
  listLabelled(
    label: string,
    signal?: AbortSignal,
  ): Promise<readonly { imageId: string; tags: readonly string[]; sizeBytes: number }[]>;
  /** What all layers of an image take on the engine's disk; null where its list does not have the image. */
  unpackedBytes(imageId: string, digest: Digest, signal?: AbortSignal): Promise<number | null>;
  /** An image as the engine writes it: an OCI archive with Docker's list in it (`manifest.json`). */
  save(imageId: string, signal?: AbortSignal): Promise<Readable>;
  /** Takes in what an archive in Docker's form holds, under the tags that its list names. */
  load(openArchive: () => Readable, signal?: AbortSignal): Promise<void>;
  /**
   * Hands over one layer of an image, an uncompressed tar whose digest is the diff ID, without running anything of it.
   * `ENGINE_FAILED` when the engine does not have it.
   */
  withLayer<T>(
    image: Pick<ImageFacts, 'imageId' | 'diffIds'>,
    diffId: Digest,
    use: (openTar: () => Readable) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** Hands over an image's whole file system as one tar, without running anything of it. */
  withRootfs<T>(
    imageId: string,
    owner: Owner,
    use: (tar: Readable) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** Looks through an image's file system without running anything of it. */
  scanRootfs(imageId: string, owner: Owner, signal?: AbortSignal): Promise<RootfsFindings>;
}
