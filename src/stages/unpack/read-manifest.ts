import { cleanText } from '../../model/clean-text.js';
import type { NpmPackage } from '../../model/image-contents.js';
import { isPackageLocation, isPackageName, nameAt } from '../../model/package-list.js';

/** Where the package lies whose package.json has this name in an archive of an image; null for any other file. */
export function manifestLocation(name: string): string | null {
  const location = /^app\/(.*)\/package\.json$/.exec(name)?.[1];
  return isPackageLocation(location) ? location : null;
}

/** What a package.json says of its package; null when it says no version. */
export function parseManifest(location: string, text: string): NpmPackage | null {
  try {
    const { name, version, license } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof version !== 'string' || version === '') return null;
    return {
      location,
      name: isPackageName(name) ? name : nameAt(location),
      version: cleanText(version),
      integrity: null,
      licence: typeof license === 'string' && license !== '' ? cleanText(license) : null,
    };
  } catch {
    return null;
  }
}
