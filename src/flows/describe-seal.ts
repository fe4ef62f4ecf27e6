import { hexOf, type Digest } from '../model/digest.js';
import type { SealedImage } from '../model/sealed-image.js';
import type { Attested } from './push-image.js';

/** What is attested of a seal: how it was made. */
export function describeSeal({ entry, labels }: SealedImage): Promise<readonly Attested[]> {
  const digestSet = (digest: Digest): object => ({ sha256: hexOf(digest) });
  const predicate = {
    buildDefinition: {
      buildType: 'https://sjs.dev/build/v1',
      externalParameters: { sandbox: { name: entry.name }, rights: labels.plan },
      internalParameters: {},
      resolvedDependencies: [
        { name: 'base', digest: digestSet(labels.baseDigest) },
        ...(entry.base.digest === labels.baseDigest
          ? []
          : [{ name: 'base index', digest: digestSet(entry.base.digest) }]),
      ],
    },
    runDetails: {
      builder: { id: 'https://sjs.dev/builder/v1' },
      metadata: { finishedOn: entry.createdAt },
      byproducts: [{ name: 'seal', digest: digestSet(entry.seal) }],
    },
  };
  return Promise.resolve([{ type: 'slsaprovenance1', predicate }]);
}
