import type { ResolvedPackage } from './package-list.js';

/** A package as a lockfile of npm has it, with what getting it takes. */
export interface LockedPackage extends ResolvedPackage {
  /** Address of its tarball; null when the lockfile does not say: then the registry knows. */
  readonly resolved: string | null;
  /** As the lockfile says; its tarball is asked too. */
  readonly hasInstallScript: boolean;
  /** By package.json (`allowScripts: { name: false }`) its install script is not needed. */
  readonly worksWithoutScript: boolean;
  /** Real names of its own dependencies that are there under another: its tarball must say the same. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** A wheel that a requirements.txt pins, as the index has it. */
export interface LockedWheel extends ResolvedPackage {
  readonly integrity: string;
  readonly bundledIn: null;
  /** Optional parts that are asked for: what they need must be there too. */
  readonly extras: readonly string[];
  /** Where the index has it; null when it was not asked this time. */
  readonly url: string | null;
  /** What its own folders begin with: `PyYAML-6.0.1`. */
  readonly stem: string;
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
  /** Files and folders. */
  names: 200_000,
  /** Of all their names together. */
  nameBytes: 64 * 1024 ** 2,
  /** Of the package.json in one tarball, with those of the packages that come in it. */
  manifestBytes: 8 * 1024 ** 2,
} as const;
