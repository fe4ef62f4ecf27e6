import { cleanText } from '../../model/clean-text.js';
import type { NpmPackage } from '../../model/image-contents.js';
import { isPackageLocation, isPackageName, nameAt } from '../../model/package-list.js';
import { parseJson } from '../../model/parse-json.js';

/** Where the package lies that has the file of this name in an archive of an image, right below it; null for any other file. */
export function fileOwner(name: string, file: 'package.json' | 'binding.gyp'): string | null {
  if (!name.startsWith('app/') || !name.endsWith(`/${file}`)) return null;
  const location = name.slice('app/'.length, -file.length - 1);
  return isPackageLocation(location) ? location : null;
}

/** What a package.json says of its package; null when it says no version. */
export function parseManifest(location: string, text: string): NpmPackage | null {
  try {
    const { name, version, license } = parseJson(text) as Readonly<Record<string, unknown>>;
    if (typeof version !== 'string' || version === '') return null;
    return {
      location,
      name: isPackageName(name) ? name : nameAt(location),
      version: cleanText(version),
      integrity: null,
      licence: typeof license === 'string' && license !== '' ? cleanText(license) : null,
      bundled: null,
    };
  } catch {
    return null;
  }
}
