import type { Digest } from '../model/digest.js';
import type { Repository } from '../model/reference.js';

/** A manifest or index as the registry sent it; `digest` was computed from `bytes`. */
export interface RawManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/**
 * An OCI distribution registry. Every call checks the content it returns against the digest asked for
 * (`REGISTRY_DIGEST_MISMATCH`), has a time limit and a size limit, and fails with `REGISTRY_UNREACHABLE`,
 * `REGISTRY_UNAUTHORIZED` or `REGISTRY_INVALID_ANSWER`.
 */
export interface Registry {
  /** All tags of the repository; `BASE_NOT_FOUND` when the repository does not exist. */
  listTags(repository: Repository, signal?: AbortSignal): Promise<readonly string[]>;
  /** The manifest or index by tag or digest; `BASE_NOT_FOUND` when there is none. */
  getManifest(repository: Repository, reference: string, signal?: AbortSignal): Promise<RawManifest>;
  /** A blob of at most `maxBytes`, whole. For configs, not layers. */
  getBlob(
    repository: Repository,
    digest: Digest,
    maxBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array>;
  /** Copies a manifest, or an index with all it names, by digest into another repository and tags it there. */
  copy(
    from: Repository,
    digest: Digest,
    to: Repository & { readonly tag: string },
    onProgress: (message: string) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Credentials for a registry from Docker's configuration and credential helpers; null when there are none. */
  credentials(registry: string, signal?: AbortSignal): Promise<RegistryCredentials | null>;
}

/** What Docker's configuration says for one registry. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
}
