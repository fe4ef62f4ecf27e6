import { isDigest, type Digest } from './digest.js';
import type { ImageFacts, IndexEntry, SealedLabels } from './sealed-image.js';

/** A package of the operating system that a base is made of. */
export interface SystemPackage {
  readonly manager: 'deb' | 'apk';
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** As the package states it; null when it does not. */
  readonly licence: string | null;
}

/** What a base says that it has in it. */
export interface SystemContents {
  /** From /etc/os-release: `debian`, `12`. Null when the base names none. */
  readonly distribution: { readonly id: string; readonly version: string | null } | null;
  /** Sorted by name and architecture. */
  readonly packages: readonly SystemPackage[];
  /** Programs that are Node, Deno or Bun and say of which version, sorted by path. */
  readonly nodes: readonly NodeProgram[];
}

/** A Node, Deno or Bun in a base. */
export interface NodeProgram {
  /** Absolute. */
  readonly path: string;
  readonly version: string;
  readonly digest: Digest;
  /** Absent for Node. */
  readonly name?: 'deno' | 'bun';
}

/** A package of npm or of Python in an image. */
export interface LaidPackage {
  /** Where it lies below /app, as `node_modules/accepts`; of Python `site-packages/requests`. */
  readonly location: string;
  readonly name: string;
  readonly version: string;
  /** What its tarball was checked against; null for one that lay in the source, or came in the tarball of another. */
  readonly integrity: string | null;
  /** As its package.json states it; null when it does not. */
  readonly licence: string | null;
  /** In whose tarball it came, by location, and whether the lockfile knew of it; null for any other. */
  readonly bundled: { readonly in: string; readonly isLocked: boolean } | null;
}

/** A file that sjs or the author put into an image. */
export interface ContentFile {
  /** Absolute, in the image. */
  readonly path: string;
  readonly digest: Digest;
  /** Hex; SPDX 2.3 wants one of every file. */
  readonly sha1: string;
}

/** What a sealed image is made of: bills of materials and provenance are written from this alone. */
export interface ImageContents {
  readonly entry: IndexEntry;
  readonly image: Pick<ImageFacts, 'platform' | 'diffIds' | 'config'>;
  readonly labels: SealedLabels;
  /** The layer that has the source, by its diff ID. */
  readonly sourceLayer: Digest;
  readonly system: SystemContents;
  /** Sorted by location. */
  readonly packages: readonly LaidPackage[];
  /** Sorted by path. */
  readonly files: readonly ContentFile[];
  /** RFC 3339: when its bills say that they were written. Null: as long ago as its files, for equal bills everywhere. */
  readonly writtenAt: string | null;
  readonly sjsVersion: string;
}

const textOrNull = (value: unknown): boolean => value === null || typeof value === 'string';
const hasFields =
  (checks: Readonly<Record<string, (value: unknown) => boolean>>) =>
  (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(checks).every(([key, check]) => check((value as Record<string, unknown>)[key]));
const text = (value: unknown): boolean => typeof value === 'string';
const isPackage = hasFields({
  manager: (value) => value === 'deb' || value === 'apk',
  name: text,
  version: text,
  architecture: text,
  licence: textOrNull,
});
const isNode = hasFields({
  path: text,
  version: text,
  digest: isDigest,
  name: (value) => value === undefined || value === 'deno' || value === 'bun',
});
const isDistribution = hasFields({ id: text, version: textOrNull });

/** Whether a value, as a cache gives it back, is all that bills of materials say of a base. */
export const isSystemContents = (value: unknown): value is SystemContents =>
  hasFields({
    distribution: (found) => found === null || isDistribution(found),
    packages: (found) => Array.isArray(found) && found.every(isPackage),
    nodes: (found) => Array.isArray(found) && found.every(isNode),
  })(value);
