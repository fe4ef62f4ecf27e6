import { SjsError } from '../../errors.js';
import type { Platform } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import { formatPlatform, isSamePlatform } from '../../model/platform.js';
import type { ImageIndex } from './read-manifest.js';

/**
 * Digest of the index's manifest for the platform; the one with the very variant before one that states none.
 * @throws SjsError `BASE_PLATFORM_MISSING` with the platforms there are.
 */
export function choosePlatform(index: ImageIndex, wanted: Platform, name: string): Digest {
  const fitting = index.entries.filter(({ platform }) => platform && isSamePlatform(platform, wanted));
  const chosen = fitting.find(({ platform }) => platform?.variant === wanted.variant) ?? fitting[0];
  if (chosen) return chosen.digest;
  const available = index.entries.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []));
  throw new SjsError('BASE_PLATFORM_MISSING', `${name} has no image for ${formatPlatform(wanted)}`, {
    cause: `it has ${available.slice(0, 20).join(', ') || 'none that sjs can run'}`,
    next: `use a base for ${formatPlatform(wanted)}; other platforms are not emulated yet`,
  });
}
