import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { Platform } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import type { ImageIndex } from './read-manifest.js';

/** `linux/amd64`, `linux/arm64/v8`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return cleanText([os, architecture, variant].filter(Boolean).join('/').slice(0, 100));
}

/** Whether an image for one platform is an image for the other. `arm64` alone means `arm64/v8`. */
export function isSamePlatform(a: Platform, b: Platform): boolean {
  if (a.os !== b.os || a.architecture !== b.architecture) return false;
  return a.variant === undefined || b.variant === undefined || a.variant === b.variant;
}

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
