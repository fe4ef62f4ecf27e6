import type { Digest } from '../model/digest.js';
import { filledLayers } from '../model/image-layers.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { SealedLayer } from '../stages/pack/repack-layers.js';
import { readPackages } from '../stages/unpack/read-packages.js';
import { readSource } from '../stages/unpack/read-source.js';
import type { RebaseTools } from './rebase-image.js';

/** The layers that sjs put over a base: that of the source, and that of the packages below it. */
export const ownLayers = ({ image, labels }: SealedImage): readonly Digest[] =>
  filledLayers(image.diffIds).slice(labels.packages === null ? -1 : -2);

/** Hands over the layers of a sealed image, each looked through: it may have come from anybody. */
export async function withOwnLayers<T>(
  sealed: SealedImage,
  { images }: RebaseTools,
  signal: AbortSignal | undefined,
  use: (layers: readonly SealedLayer[]) => Promise<T>,
): Promise<T> {
  const { packages: digest } = sealed.labels;
  const [source, packages] = [...ownLayers(sealed)].reverse();
  if (source === undefined) throw new Error('a sealed image has a layer of its own');
  return images.withLayer(
    sealed.image,
    source,
    async (openSource) => {
      await readSource(openSource());
      const own: SealedLayer = { folder: 'layer', openTar: openSource };
      if (packages === undefined || digest === null) return use([own]);
      return images.withLayer(
        sealed.image,
        packages,
        async (openPackages) => {
          await readPackages(openPackages(), digest);
          return use([{ folder: 'packages', openTar: openPackages }, own]);
        },
        signal,
      );
    },
    signal,
  );
}
