import { SjsError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import type { Policy } from '../model/policy.js';
import { formatReference, formatRepository } from '../model/reference.js';
import type { Registry } from '../ports/registry.js';
import { pushRepository } from '../stages/policy/effective-policy.js';
import { resolveSealed } from '../stages/resolve/resolve-sealed.js';
import { findSealedImage, type TargetTools } from './find-target.js';
import { placeOf } from './push-image.js';

/** What the registry has of a sealed image. */
export interface PublishedImage {
  readonly tag: string;
  readonly seal: Digest;
  /** `registry/path`; null when no policy says where sealed images are pushed to. */
  readonly repository: string | null;
  /** What stands there under the same tag, by digest, and the seal computed from it; null when nothing does. */
  readonly found: { readonly reference: string; readonly seal: Digest } | null;
  /** Tags there of the same version with another seal; none for an image without a version. */
  readonly others: readonly string[];
}

/** What looking for it needs of the world. */
export interface PublishedTools extends TargetTools {
  readonly registry: Registry;
  readonly loadPolicy: () => Promise<Policy>;
}

/**
 * Looks for a sealed image where it would be pushed to. Nothing is pulled, and no signature verified: `sjs verify` does.
 * @throws SjsError as finding the image does, and what the registry fails with.
 */
export async function findPublished(
  target: string,
  tools: PublishedTools,
  signal?: AbortSignal,
): Promise<PublishedImage> {
  const [sealed, policy] = await Promise.all([findSealedImage(target, tools, signal), tools.loadPolicy()]);
  const { tag, seal, version } = sealed.entry;
  const repository = pushRepository(policy);
  if (repository === null) return { tag, seal, repository, found: null, others: [] };
  const place = placeOf(sealed, repository);
  const [found, tags] = await Promise.all([
    resolveSealed(place, place.tag, sealed.image.platform, tools.registry, signal),
    tools.registry.listTags(place, signal).catch((error: unknown) => {
      // Nothing was pushed there yet.
      if (error instanceof SjsError && error.code === 'BASE_NOT_FOUND') return [];
      throw error;
    }),
  ]);
  const { registry, path } = place;
  return {
    tag,
    seal,
    repository: formatRepository(place),
    found: found && {
      reference: formatReference({ registry, path, digest: found.digest }),
      seal: found.seal,
    },
    others: tags.filter((other) => other !== place.tag && isOfVersion(other, version)).sort(),
  };
}

const isOfVersion = (tag: string, version: string | null): boolean =>
  version !== null && tag.startsWith(`${version}-`) && /^[0-9a-f]{12}$/.test(tag.slice(version.length + 1));
