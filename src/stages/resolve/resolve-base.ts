import { SjsError } from '../../errors.js';
import type { Platform, ResolvedBase } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import type { Lock } from '../../model/lock.js';
import { formatPlatform, isSamePlatform } from '../../model/platform.js';
import {
  formatRepository,
  parseReference,
  type DigestReference,
  type Repository,
} from '../../model/reference.js';
import type { BaseRequest } from '../../model/sandbox.js';
import type { RawManifest, Registry } from '../../ports/registry.js';
import { chooseVersion, satisfiesRange } from './choose-version.js';
import { choosePlatform } from './choose-platform.js';
import { readConfig } from './read-config.js';
import { readManifest, type ImageManifest } from './read-manifest.js';

/** The most that the config of an image may have. */
export const MAX_CONFIG_BYTES = 4 * 1024 ** 2;
const MAX_COMPRESSED_BYTES = 2 * 1024 ** 3;

/**
 * Turns a request into content: one tag list and one manifest by tag, everything after that by digest. A lock that still
 * answers the request is used instead of the tags, unless `update` asks for a new look.
 * @throws SjsError `BASE_NOT_PINNED`, `BASE_NOT_FOUND`, `BASE_VERSION_NOT_FOUND`, `BASE_PLATFORM_MISSING`,
 * `BASE_MANIFEST_INVALID`, `BASE_CONFIG_REFUSED`, `BASE_TOO_LARGE`, `LOCK_INVALID`, and the registry's own codes.
 */
export async function resolveBase(
  request: BaseRequest,
  platform: Platform,
  registry: Registry,
  lock: Lock | null,
  options: { readonly update: boolean },
  signal?: AbortSignal,
): Promise<ResolvedBase> {
  const repository = parseRepository(request.image);
  const locked = options.update ? null : findLocked(request, lock);
  const { version, reference } = locked
    ? { version: locked.version, reference: locked.digest }
    : await findTag(request, repository, registry, signal);
  const top = await registry.getManifest(repository, reference, signal);
  const name = `${formatRepository(repository)}@${top.digest}`;
  const { raw, manifest, isIndex } = await descend(top, repository, platform, registry, name, signal);
  if (manifest.compressedBytes > MAX_COMPRESSED_BYTES) {
    throw new SjsError(
      'BASE_TOO_LARGE',
      `${name} is ${manifest.compressedBytes} bytes compressed, at most ${MAX_COMPRESSED_BYTES} are taken`,
      { next: 'use a smaller base' },
    );
  }
  if (manifest.config.bytes > MAX_CONFIG_BYTES) {
    throw new SjsError('BASE_TOO_LARGE', `the config of ${name} is ${manifest.config.bytes} bytes`, {
      next: `a config has at most ${MAX_CONFIG_BYTES} bytes`,
    });
  }
  const bytes = await registry.getBlob(repository, manifest.config.digest, MAX_CONFIG_BYTES, signal);
  const config = readConfig(bytes, manifest.layers, name);
  checkPlatform(config.platform, platform, isIndex, name);
  if (locked) checkLockedManifest(lock, config.platform, raw.digest, name);
  return {
    repository,
    version,
    digest: top.digest,
    indexDigest: isIndex ? top.digest : null,
    manifestDigest: raw.digest,
    platform: config.platform,
    config: config.config,
    diffIds: config.diffIds,
    compressedBytes: manifest.compressedBytes,
  };
}

interface Pointer {
  readonly version: string | null;
  /** Tag or digest. */
  readonly reference: string;
}

/** The repository that `spec.base.image` names. @throws SjsError `REFERENCE_INVALID`, `BASE_NOT_PINNED` */
export function parseRepository(image: string): Repository {
  const { registry, path, tag, digest } = parseReference(image);
  if (tag === undefined && digest === undefined) return { registry, path };
  throw new SjsError('BASE_NOT_PINNED', `${image} has a tag or digest in its name`, {
    next: 'leave it out of spec.base.image and state spec.base.version or spec.base.digest',
  });
}

async function findTag(
  request: BaseRequest,
  repository: Repository,
  registry: Registry,
  signal?: AbortSignal,
): Promise<Pointer> {
  if ('digest' in request) return { version: null, reference: request.digest };
  const tags = await registry.listTags(repository, signal);
  const version = chooseVersion(tags, request.version, formatRepository(repository));
  return { version, reference: version };
}

/** What the lock knows a version range to mean; null when it does not answer the request. A pin needs no lock. */
export function findLocked(
  request: BaseRequest,
  lock: Lock | null,
): (DigestReference & { readonly version: string }) | null {
  const repository = parseRepository(request.image);
  if (lock === null || lock.base.image !== formatRepository(repository) || 'digest' in request) return null;
  const { version, digest } = lock.base;
  if (version === null || !satisfiesRange(version, request.version)) return null;
  return { ...repository, digest, version };
}

/** From what the tag names to the manifest of the platform. */
export async function descend(
  top: RawManifest,
  repository: Repository,
  platform: Platform,
  registry: Registry,
  name: string,
  signal?: AbortSignal,
): Promise<{ raw: RawManifest; manifest: ImageManifest; isIndex: boolean }> {
  const read = readManifest(top, name);
  if (read.kind === 'manifest') return { raw: top, manifest: read, isIndex: false };
  const raw = await registry.getManifest(repository, choosePlatform(read, platform, name), signal);
  const manifest = readManifest(raw, `${formatRepository(repository)}@${raw.digest}`);
  if (manifest.kind === 'manifest') return { raw, manifest, isIndex: true };
  throw new SjsError('BASE_MANIFEST_INVALID', `${name} names another index where an image belongs`, {
    next: 'use an image that was pushed by docker or another tool that follows the OCI image specification',
  });
}

function checkPlatform(found: Platform, wanted: Platform, isIndex: boolean, name: string): void {
  if (isSamePlatform(found, wanted)) return;
  const message = `${name} is for ${formatPlatform(found)}, the engine runs ${formatPlatform(wanted)}`;
  if (isIndex)
    throw new SjsError('BASE_MANIFEST_INVALID', `${message}, as its index said`, {
      next: 'use another base',
    });
  throw new SjsError('BASE_PLATFORM_MISSING', message, {
    next: `use a base for ${formatPlatform(wanted)}; other platforms are not emulated yet`,
  });
}

function checkLockedManifest(lock: Lock | null, platform: Platform, found: Digest, name: string): void {
  const locked = lock?.base.manifests[formatPlatform(platform)];
  if (locked === undefined || locked === found) return;
  throw new SjsError(
    'LOCK_INVALID',
    `sandbox.lock states ${locked} for ${formatPlatform(platform)}, ${name} has ${found}`,
    {
      next: 'restore the lock from git, or run sjs lock',
    },
  );
}
