import type { Platform } from './base.js';
import type { BuildFacts } from './build-facts.js';
import { canonicalJson } from './canonical-json.js';
import { sha256, shortDigest, type Digest } from './digest.js';
import type { PushedSeal, SealProof } from './seal-proof.js';
import type { RunPlan, SealedPlan } from './run-plan.js';
import type { RuntimeConfig } from './runtime-config.js';

/** Version of the seal's definition, of the labels and of the lock. Raised when any of them changes meaning. */
export const FORMAT_VERSION = 1;

/** What an engine's inspect says of an image, in our words; everything that a seal covers. */
export interface ImageFacts {
  /** The engine's id of the image. Not a digest by itself: its meaning depends on the image store. */
  readonly imageId: string;
  readonly platform: Platform;
  readonly diffIds: readonly Digest[];
  readonly config: RuntimeConfig;
  /** Names of config fields that are not empty and that this sjs does not know. */
  readonly unknownConfigFields: readonly string[];
  /** Tags that point at it, as the engine writes them. */
  readonly tags: readonly string[];
  readonly sizeBytes: number;
}

/** The seal of an image (SPEC §1): sha256 over the canonical JSON of what runs, the same on every engine. */
export function computeSeal(image: Pick<ImageFacts, 'platform' | 'diffIds' | 'config'>): Digest {
  return sha256(
    canonicalJson({
      formatVersion: FORMAT_VERSION,
      os: image.platform.os,
      architecture: image.platform.architecture,
      variant: image.platform.variant ?? '',
      diffIds: image.diffIds,
      config: image.config,
    }),
  );
}

/** `sjs/<name>:<version>-<12 hex digits>`, or the digits alone without a version. A handle, never the identity. */
export function formatTag(name: string, version: string | null, seal: Digest): string {
  return `sjs/${name}:${version === null ? '' : `${version}-`}${shortDigest(seal)}`;
}

/** Labels of a sealed image. All begin `dev.sjs.`; no base may have any. */
export const LABEL_PREFIX = 'dev.sjs.';

/** The names of the labels inside a sealed image. */
export const LABELS = {
  format: 'dev.sjs.format',
  name: 'dev.sjs.name',
  version: 'dev.sjs.version',
  baseDigest: 'dev.sjs.base.digest',
  baseVersion: 'dev.sjs.base.version',
  plan: 'dev.sjs.plan',
  packages: 'dev.sjs.packages',
  rebasedFrom: 'dev.sjs.rebased-from',
} as const;

/** What the labels of a sealed image say. A claim until it is checked against the operator's policy. */
export interface SealedLabels {
  readonly formatVersion: number;
  readonly name: string;
  readonly version: string | null;
  /** Manifest digest of the base. */
  readonly baseDigest: Digest;
  readonly baseVersion: string | null;
  readonly plan: SealedPlan;
  /** Digest of /.sjs/packages.json, which lies in a layer of its own below the source; null without dependencies. */
  readonly packages: Digest | null;
  /** The seal that a rebase put over another base; null for what was built from source. */
  readonly rebasedFrom: Digest | null;
}

/** What this SJS_HOME keeps of each seal it made. */
export interface IndexEntry {
  readonly formatVersion: number;
  readonly seal: Digest;
  readonly tag: string;
  readonly name: string;
  readonly version: string | null;
  /** The engine's id when it was built; checked, never trusted. */
  readonly imageId: string;
  /** Digest over everything that went in: equal inputs answer without a build. */
  readonly inputs: Digest;
  readonly base: {
    /** `registry/path` */
    readonly image: string;
    /** What is signed: an index or a manifest. */
    readonly digest: Digest;
    readonly manifestDigest: Digest;
    readonly version: string | null;
  };
  /** RFC 3339. */
  readonly createdAt: string;
  /** RFC 3339: when a build last came out at this seal, to the day; absent before the second one. */
  readonly usedAt?: string;
  /** Real path of the folder of the sandbox.yaml that a build last came out at it with; absent for code without one. */
  readonly lockedIn?: string;
  /** Code that was sealed without a sandbox.yaml: by `sjs run FILE` or `-e`. */
  readonly isAdHoc?: true;
  /** The seal that it was rebased from, as its label says. */
  readonly rebasedFrom?: Digest;
  /** The signed seal from elsewhere that it was rebased from, at whatever remove: a run asks for trust in that one too. */
  readonly origin?: SignedOrigin;
  /** A seal that was made elsewhere: when it came, and who vouched for it. */
  readonly imported?: ImportedSeal;
  /** Where it lies in registries, newest last. */
  readonly pushed?: readonly PushedSeal[];
  /** Signatures that were verified here, newest last. */
  readonly signatures?: readonly SealProof[];
  /** How it was made here; absent for what was made elsewhere, or by an sjs that did not keep this. */
  readonly build?: BuildFacts;
}

/** A seal that came in by its signature, as it was when something was rebased from it: the index may lose it. */
export type SignedOrigin = Pick<IndexEntry, 'seal' | 'tag' | 'base' | 'imported' | 'signatures'>;

/** How a seal that was made elsewhere came in. */
export interface ImportedSeal {
  /** RFC 3339. */
  readonly at: string;
  /** The operator who typed the seal, or a signature that the policy trusts: the newest of `signatures` shows it. */
  readonly trustedBy: 'hand' | 'signature';
  /**
   * Whether the base's signature was verified here. Absent: `base.image` and `base.digest` of the entry are what an export
   * said, and no seal covers them.
   */
  readonly isBaseVerified?: true;
}

/** What was signed of the base of a sealed image; nothing when that is only claimed. */
export const signedDigestsOf = ({ base, imported }: SignedOrigin): readonly Digest[] =>
  imported && !imported.isBaseVerified ? [] : [base.digest];

declare const sealed: unique symbol;

/**
 * An image whose content equals its seal, all 256 bits compared, and whose seal this SJS_HOME made.
 * Only `stages/seal` makes one.
 */
export interface SealedImage {
  readonly entry: IndexEntry;
  readonly image: ImageFacts;
  readonly labels: SealedLabels;
  readonly [sealed]: true;
}

export type { RunPlan, SealedPlan };
