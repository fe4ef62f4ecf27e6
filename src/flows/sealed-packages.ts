import type { Lock } from '../model/lock.js';
import { formatLockLines, type PackageList } from '../model/package-list.js';
import type { SealedImage } from '../model/sealed-image.js';
import { findPackagesLayer, readPackages, type PackageTaker } from '../stages/unpack/read-packages.js';
import type { TargetTools } from './find-target.js';

/** The packages of a sealed image, read from the image alone; none without dependencies. Throws `SEAL_REFUSED`. */
export async function sealedPackages(
  { image, labels }: SealedImage,
  { images }: Pick<TargetTools, 'images'>,
  signal?: AbortSignal,
  taker?: PackageTaker,
): Promise<PackageList> {
  const digest = labels.packages;
  if (digest === null) return [];
  const layer = findPackagesLayer(image.diffIds);
  return images.withLayer(image, layer, (openTar) => readPackages(openTar(), digest, taker), signal);
}

/** The same as a lock lists them. */
export const packagesOf = async (...asked: Parameters<typeof sealedPackages>): Promise<Lock['packages']> =>
  formatLockLines(await sealedPackages(...asked));
