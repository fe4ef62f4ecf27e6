import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { sha256, type Digest } from '../../model/digest.js';
import { filledLayers } from '../../model/image-layers.js';
import { PACKAGE_LIST } from '../../model/own-files.js';
import { parsePackageList, type PackageList } from '../../model/package-list.js';
import { SjsError } from '../../errors.js';

const MOST_BYTES = 16 * 1024 ** 2;

/** The layer of the packages: that below the source. */
export function findPackagesLayer(diffIds: readonly Digest[]): Digest {
  const layer = filledLayers(diffIds).at(-2);
  if (layer !== undefined) return layer;
  throw refuse('it has no layer for them');
}

/**
 * The list of packages in their layer, of which the sealed label has the digest.
 * @throws SjsError `SEAL_REFUSED` for another one, or none.
 */
export async function readPackageList(tar: Readable, digest: Digest): Promise<PackageList> {
  const archive = extract();
  tar.on('error', (error) => archive.destroy(error));
  tar.pipe(archive);
  try {
    for await (const entry of archive) {
      const { name, type, size = 0 } = entry.header;
      if (`/${name}` === PACKAGE_LIST && type === 'file' && size <= MOST_BYTES) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        const list = sha256(bytes) === digest ? parsePackageList(bytes.toString('utf8')) : undefined;
        if (list) return list;
      }
      entry.resume();
    }
  } finally {
    tar.destroy();
  }
  throw refuse(`${PACKAGE_LIST} is not the list that its label names`);
}

function refuse(why: string): SjsError {
  return new SjsError('SEAL_REFUSED', `the packages of the sealed image cannot be told: ${why}`, {
    next: 'do not use this image; build it again from its source',
  });
}
