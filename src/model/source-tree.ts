/** A file, symbolic link or folder that goes into the image. Paths are `/`-separated and relative. */
export type SourceEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly bytes: number;
      readonly executable: boolean;
      /** Device and inode at the time of collecting: packing refuses any other file under that name. */
      readonly device: number;
      readonly inode: number;
    }
  /** A file that is not on the disk. */
  | { readonly kind: 'inline'; readonly path: string; readonly content: Uint8Array }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'folder'; readonly path: string };

/** The source as it will be packed. */
export interface SourceTree {
  /** Absolute path of the folder the entries are relative to, with no link in it. */
  readonly root: string;
  /** Sorted by path, in code-unit order. */
  readonly entries: readonly SourceEntry[];
  readonly totalBytes: number;
  /** Files that look like secrets and stay out; to be listed once. */
  readonly withheld: readonly string[];
}

/** Of one name in a path, as Linux has it. */
export const NAME_BYTES = 255;

/** Bounds of a source (ATTACKS d). `maxBytes` comes from the policy. */
export const SOURCE_LIMITS = {
  files: 50_000,
  depth: 64,
  pathBytes: 1024,
  defaultBytes: 100 * 1024 ** 2,
  /** What a policy can state at most, and holds where one is waived. */
  mostBytes: 64 * 1024 ** 3,
} as const;
