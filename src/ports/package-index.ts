import type { LockedWheel } from '../model/locked-package.js';

/** A file that a package index has of a project. */
export interface IndexFile {
  /** As `requests-2.31.0-py3-none-any.whl`. */
  readonly name: string;
  /** Null when that is not known any more. */
  readonly url: string | null;
  /** Its SHA-256 as subresource integrity: by what the index says, until it is there. */
  readonly integrity: string;
}

/**
 * Where Python packages come from: the index that the operator's own pip configuration names, and a cache of what came from
 * there. No file of a project configures it, and without a configuration there is none.
 */
export interface PackageIndex {
  /**
   * The files of a project with a SHA-256; none of a project that the index does not have.
   * @throws SjsError `PACKAGE_UNAVAILABLE`, also where no index is configured
   */
  list(project: string, signal?: AbortSignal): Promise<readonly IndexFile[]>;
  /**
   * Makes the cache hold a wheel, its bytes checked against the integrity; a cached one is checked again, and fetched again
   * when it is not what it should be. Returns how many bytes it has.
   * @throws SjsError `PACKAGE_UNAVAILABLE`, `PACKAGE_MISMATCH`, `PACKAGE_TOO_LARGE`
   */
  fetch(wanted: LockedWheel, signal?: AbortSignal): Promise<number>;
  /** Says that a build goes by a wheel, if the cache holds it. Never fails. */
  touch(wanted: LockedWheel): Promise<void>;
  /** The bytes of a wheel that the cache holds. Fails with `PACKAGE_MISMATCH` at their end when they are others. */
  open(wanted: LockedWheel): AsyncIterable<Uint8Array>;
}
