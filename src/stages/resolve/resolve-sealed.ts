import { SjsError } from '../../errors.js';
import type { Platform } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import { requirePlatform } from '../../model/platform.js';
import { formatRepository, type Repository } from '../../model/reference.js';
import { malformedFields, splitRuntimeConfig } from '../../model/runtime-config.js';
import { computeSeal, type ImageFacts } from '../../model/sealed-image.js';
import type { Registry } from '../../ports/registry.js';
import { readAnyConfig } from './read-config.js';
import { descend, MAX_CONFIG_BYTES } from './resolve-base.js';

/** An image as a registry has it. */
export interface RegistryImage {
  /** What the tag or digest names: an index, or the manifest itself. */
  readonly digest: Digest;
  /** Whether an index named the manifest, beside others. */
  readonly isIndex: boolean;
  /** Computed from its config, whose bytes are those of their digest; what its layers are, the engine finds at a pull. */
  readonly seal: Digest;
  readonly image: Pick<ImageFacts, 'platform' | 'diffIds' | 'config'>;
}

/**
 * Reads an image of a registry by tag or digest, without its layers, and computes its seal; null when there is none.
 * @throws SjsError `BASE_MANIFEST_INVALID` for what is none that sjs seals, `SEAL_PLATFORM_MISMATCH`; what the registry fails with.
 */
export async function resolveSealed(
  repository: Repository,
  pointer: string,
  platform: Platform,
  registry: Registry,
  signal?: AbortSignal,
): Promise<RegistryImage | null> {
  const top = await registry.getManifest(repository, pointer, signal).catch((error: unknown) => {
    if (error instanceof SjsError && error.code === 'BASE_NOT_FOUND') return null;
    throw error;
  });
  if (top === null) return null;
  const name = `${formatRepository(repository)}@${top.digest}`;
  const refuse = (why: string): SjsError =>
    new SjsError('BASE_MANIFEST_INVALID', `${name} is no sealed image: ${why}`, {
      next: 'give the digest of an image that sjs push printed',
    });
  const { manifest, isIndex } = await descend(top, repository, platform, registry, name, signal);
  if (manifest.config.bytes > MAX_CONFIG_BYTES) throw refuse(`its config has ${manifest.config.bytes} bytes`);
  const bytes = await registry.getBlob(repository, manifest.config.digest, MAX_CONFIG_BYTES, signal);
  const { runtime, ...found } = readAnyConfig(bytes, manifest.layers, name);
  const { config, unknownFields } = splitRuntimeConfig(runtime);
  if (unknownFields.length > 0) throw refuse('its config has fields that this sjs does not know');
  if (malformedFields(config).length > 0) throw refuse('its config has fields of another type');
  requirePlatform(found.platform, platform, name);
  const image = { ...found, config };
  return { digest: top.digest, isIndex, seal: computeSeal(image), image };
}
