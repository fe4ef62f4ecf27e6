import type { LockedPackage } from '../model/locked-package.js';

/**
 * Where npm packages come from: the registries that the operator's own npm configuration names, and a cache of what came
 * from there. No file of a project configures it.
 */
export interface PackageRegistry {
  /**
   * Whether an address is of the registry for packages of that name. npm's public registry counts: the configured one
   * takes its place, as npm itself does it.
   */
  addresses(): Promise<(address: URL, name: string) => boolean>;
  /**
   * Makes the cache hold the tarball of a package, its bytes checked against the integrity; a cached one is checked again,
   * and fetched again when it is not what it should be. Returns how many bytes it has.
   * @throws SjsError `PACKAGE_UNAVAILABLE`, `PACKAGE_MISMATCH`, `PACKAGE_TOO_LARGE`
   */
  fetch(wanted: LockedPackage, signal?: AbortSignal): Promise<number>;
  /** Says that a build goes by a package, for {@link prune}, if the cache holds its tarball. Never fails. */
  touch(wanted: LockedPackage): Promise<void>;
  /** The bytes of a tarball that the cache holds. Fails with `PACKAGE_MISMATCH` at their end when they are others. */
  open(wanted: LockedPackage): AsyncIterable<Uint8Array>;
  /**
   * Removes cached tarballs that were last fetched or touched before a time, and halves that a killed sjs left; with `dryRun` only
   * counts them. What cannot be removed is passed over.
   */
  prune(options: {
    readonly before: number;
    readonly dryRun: boolean;
  }): Promise<{ readonly count: number; readonly bytes: number }>;
}
