import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import { sha256, type Digest } from '../../model/digest.js';
import { filledLayers } from '../../model/image-layers.js';
import type { NpmPackage } from '../../model/image-contents.js';
import { PACKAGE_LIST } from '../../model/own-files.js';
import { isPackageLocation, isPackageName, nameAt, parsePackageList } from '../../model/package-list.js';

/** Enough for ten thousand packages, and for any package.json that anybody has written. */
const MOST_LIST_BYTES = 16 * 1024 ** 2;
const MOST_MANIFEST_BYTES = 1024 ** 2;

/** The layer that has the npm packages: the one below the source. */
export function findPackageLayer(diffIds: readonly Digest[]): Digest {
  const found = filledLayers(diffIds).at(-2);
  if (found !== undefined) return found;
  throw refuse('there is no layer of them');
}

/**
 * The packages of their layer, as the list says them whose digest the label states, with the licences that they state
 * themselves.
 * @throws SjsError `SEAL_REFUSED` for another list, or none.
 */
export async function readPackages(tar: Readable, listDigest: Digest): Promise<readonly NpmPackage[]> {
  const licences = new Map<string, string | null>();
  let list = '';
  const archive = extract();
  tar.on('error', (error) => archive.destroy(error));
  tar.pipe(archive);
  try {
    for await (const entry of archive) {
      const { name, type, size = 0 } = entry.header;
      const location = manifestLocation(name);
      const content = entry as AsyncIterable<Uint8Array>;
      if (type !== 'file') entry.resume();
      else if (`/${name}` === PACKAGE_LIST && size <= MOST_LIST_BYTES) list = await readText(content);
      else if (location !== null && size <= MOST_MANIFEST_BYTES)
        licences.set(location, parseManifest(location, await readText(content))?.licence ?? null);
      else entry.resume();
    }
  } catch (error) {
    throw error instanceof SjsError ? error : refuse('their layer cannot be read', error);
  } finally {
    tar.destroy();
  }
  const packages = sha256(list) === listDigest ? parsePackageList(list) : undefined;
  if (!packages) throw refuse(`${PACKAGE_LIST} is not the list that the image's label states`);
  return packages.map(({ location, name, version, integrity }) => ({
    location,
    name,
    version,
    integrity,
    licence: licences.get(location) ?? null,
  }));
}

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

async function readText(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function refuse(why: string, cause?: unknown): SjsError {
  return new SjsError(
    'SEAL_REFUSED',
    `the npm packages of the image are none that sjs would have laid: ${why}`,
    {
      cause,
      next: 'do not use this image; build it again from its source',
    },
  );
}
