import type { ResolvedPackage } from './package-list.js';

/** A package as a lockfile has it, with what getting it takes. */
export interface LockedPackage extends ResolvedPackage {
  /** Address of its tarball; null when the lockfile does not say: then the registry knows. */
  readonly resolved: string | null;
  readonly hasInstallScript: boolean;
  /** Real names of its own dependencies that are there under another: its tarball must say the same. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** Version of the layer that a list of packages becomes: raised when the same list would become another. */
export const LAYER_VERSION = 1;

/** Bounds of what a lockfile can bring in (ATTACKS D13). */
export const PACKAGE_LIMITS = {
  packages: 10_000,
  /** Of one tarball as it comes. */
  tarballBytes: 256 * 1024 ** 2,
  /** Of all files together, unpacked. */
  bytes: 1024 ** 3,
  files: 200_000,
} as const;
