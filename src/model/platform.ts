import { SjsError } from '../errors.js';
import type { Platform } from './base.js';
import { cleanText } from './clean-text.js';

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
 * Refuses a sealed image that the engine would have to emulate: what ran elsewhere is not what runs here (ATTACKS Y04).
 * @param engine what the engine runs natively; null when it does not say
 * @throws SjsError `SEAL_PLATFORM_MISMATCH`
 */
export function requirePlatform(sealed: Platform, engine: Platform | null, name: string): void {
  if (engine && isSamePlatform(sealed, engine)) return;
  const here = engine ? `the engine runs ${formatPlatform(engine)}` : 'the engine does not say what it runs';
  throw new SjsError('SEAL_PLATFORM_MISMATCH', `${name} is for ${formatPlatform(sealed)}, ${here}`, {
    next: `use it with an engine on ${formatPlatform(sealed)}, or build it here: other platforms are not emulated`,
  });
}
