import { SjsError } from '../../src/errors.js';
import { isDigest, sha256, type Digest } from '../../src/model/digest.js';
import { formatRepository, type Repository } from '../../src/model/reference.js';
import type { RawManifest, Registry } from '../../src/ports/registry.js';
import type { TinyImage } from './tiny-image.js';

/** A registry in memory, and what was asked of it. */
export interface FakeRegistry extends Registry {
  /** Puts an image under a tag, whatever was there. */
  put(repository: string, tag: string, image: TinyImage): void;
  /** Every call in order, as `getManifest registry/path:tag`. */
  readonly calls: readonly string[];
}

interface Contents {
  readonly tags: Map<string, Digest>;
  readonly manifests: Map<Digest, RawManifest>;
  readonly blobs: Map<Digest, Uint8Array>;
}

/** An empty registry in memory. */
export function createFakeRegistry(): FakeRegistry {
  const repositories = new Map<string, Contents>();
  const calls: string[] = [];
  const open = (name: string): Contents => {
    const found = repositories.get(name) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    repositories.set(name, found);
    return found;
  };
  const missing = (name: string): SjsError =>
    new SjsError('BASE_NOT_FOUND', `${name} does not exist`, { next: 'check the name' });
  const find = (repository: Repository): Contents => {
    const contents = repositories.get(formatRepository(repository));
    if (!contents) throw missing(formatRepository(repository));
    return contents;
  };
  const enter = (call: string, signal?: AbortSignal): void => {
    calls.push(call);
    if (signal?.aborted) throw new SjsError('ABORTED', 'interrupted', { cause: signal.reason });
  };
  const store = (contents: Contents, image: TinyImage): void => {
    image.children.forEach((child) => store(contents, child));
    image.blobs.forEach((blob) => contents.blobs.set(sha256(blob), blob));
    const { digest, mediaType, bytes } = image;
    contents.manifests.set(digest, { digest, mediaType, bytes });
  };
  const lookUp = (repository: Repository, reference: string): RawManifest => {
    const contents = find(repository);
    const digest = isDigest(reference) ? reference : contents.tags.get(reference);
    const manifest = digest && contents.manifests.get(digest);
    if (!manifest) throw missing(`${formatRepository(repository)} ${reference}`);
    return manifest;
  };

  return {
    calls,
    put(repository, tag, image) {
      const contents = open(repository);
      store(contents, image);
      contents.tags.set(tag, image.digest);
    },
    async listTags(repository, signal) {
      enter(`listTags ${formatRepository(repository)}`, signal);
      return Promise.resolve([...find(repository).tags.keys()]);
    },
    async getManifest(repository, reference, signal) {
      enter(`getManifest ${formatRepository(repository)} ${reference}`, signal);
      return Promise.resolve(lookUp(repository, reference));
    },
    async getBlob(repository, digest, maxBytes, signal) {
      enter(`getBlob ${formatRepository(repository)} ${digest}`, signal);
      const bytes = find(repository).blobs.get(digest);
      if (!bytes) throw missing(`${formatRepository(repository)}@${digest}`);
      if (bytes.length > maxBytes) throw new SjsError('REGISTRY_INVALID_ANSWER', 'larger than asked for');
      return Promise.resolve(bytes);
    },
    async copy(from, digest, to, onProgress, signal) {
      enter(`copy ${formatRepository(from)} ${digest}`, signal);
      lookUp(from, digest);
      const source = find(from);
      const target = open(formatRepository(to));
      source.blobs.forEach((bytes, name) => target.blobs.set(name, bytes));
      source.manifests.forEach((manifest, name) => target.manifests.set(name, manifest));
      target.tags.set(to.tag, digest);
      onProgress(`${formatRepository(to)}:${to.tag} is ${digest}`);
      return Promise.resolve();
    },
    credentials: () => Promise.resolve(null),
  };
}
