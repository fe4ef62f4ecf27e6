import { formatLockLines } from '../model/package-list.js';
import type { Lock } from '../model/lock.js';
import type { SealedImage } from '../model/sealed-image.js';
import { findPackagesLayer, readPackageList } from '../stages/unpack/read-package-list.js';
import type { TargetTools } from './find-target.js';

/** The npm packages that are laid into a sealed image, as a lock lists them. Reads a layer only when there are any. */
export async function packagesOf(
  { image, labels }: SealedImage,
  { images }: Pick<TargetTools, 'images'>,
  signal?: AbortSignal,
): Promise<Lock['packages']> {
  const digest = labels.packages;
  if (digest === null) return {};
  const list = await images.withLayer(
    image,
    findPackagesLayer(image.diffIds),
    (openTar) => readPackageList(openTar(), digest),
    signal,
  );
  return formatLockLines(list);
}
