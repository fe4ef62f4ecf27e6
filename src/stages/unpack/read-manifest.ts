import { cleanText } from '../../model/clean-text.js';
import type { LaidPackage } from '../../model/image-contents.js';
import {
  isPackageLocation,
  isPackageName,
  isWheelLocation,
  nameAt,
  WHEEL_FOLDER,
  wheelLocation,
} from '../../model/package-list.js';
import { parseJson } from '../../model/parse-json.js';
import { parseMetadata, projectOfInfo } from '../../model/wheel.js';

/** A file that says something of its package: of npm right below it, of Python in the folder that says who it is. */
export type ManifestFile = 'package.json' | 'binding.gyp' | 'METADATA' | 'RECORD';

/** Where the package lies whose file of this name it is in an archive of an image; null for any other file. */
export function fileOwner(name: string, file: ManifestFile): string | null {
  if (file === 'METADATA' || file === 'RECORD') {
    const [, folder, own] = /^app\/site-packages\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
    const project = own === file && folder !== undefined ? projectOfInfo(folder) : null;
    return project === null ? null : wheelLocation(project);
  }
  if (!name.startsWith('app/') || !name.endsWith(`/${file}`)) return null;
  const location = name.slice('app/'.length, -file.length - 1);
  return isPackageLocation(location) ? location : null;
}

/** What a package.json, or a METADATA, says of its package; null when it says no version. */
export function parseManifest(location: string, text: string): LaidPackage | null {
  if (isWheelLocation(location)) return fromMetadata(location, text);
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

function fromMetadata(location: string, text: string): LaidPackage | null {
  const fields = parseMetadata(text);
  const [version = ''] = fields.get('version') ?? [];
  if (version === '') return null;
  const licence = (fields.get('license-expression') ?? fields.get('license'))?.[0] ?? '';
  return {
    location,
    name: location.slice(WHEEL_FOLDER.length + 1),
    version: cleanText(version),
    integrity: null,
    licence: licence === '' ? null : cleanText(licence).slice(0, 1000),
    bundled: null,
  };
}
