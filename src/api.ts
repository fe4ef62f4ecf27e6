import type { Readable } from 'node:stream';
import type { BuildResult } from './flows/build-sandbox.js';
import type { DoctorReport } from './flows/check-machine.js';
import type { BuildPlan } from './flows/describe-plan.js';
import type { ImportedBase } from './flows/import-base.js';
import type { TrustedBaseListing } from './flows/list-bases.js';
import type { LockOptions } from './flows/prepare-build.js';
import type { PruneResult } from './flows/prune.js';
import type { ReplayResult } from './flows/replay-run.js';
import type { RunOutput } from './flows/run-sandbox.js';
import type { SealVerification } from './flows/verify-sandbox.js';
import type { VerifiedBase } from './model/base.js';
import type { Digest } from './model/digest.js';
import type { CodeTarget } from './model/grants.js';
import type { RunRecord } from './model/record.js';
import type { RunRequest } from './model/run-plan.js';
import type { LoadedSandbox } from './model/sandbox.js';
import type { ImageFacts, IndexEntry, SealedLabels } from './model/sealed-image.js';
import type { RunSignals } from './ports/engine.js';
import type { RecordQuery } from './ports/record-store.js';
import type { Reporter } from './ports/reporter.js';
import type { PolicyExplanation } from './stages/policy/explain-policy.js';

/** Where an {@link Sjs} keeps its state and what it obeys. All default from the environment. */
export interface SjsOptions {
  /** Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default `$SJS_HOME`, `$XDG_DATA_HOME/sjs`, `~/.local/share/sjs`. */
  readonly home?: string;
  /** A policy file beside the user's and the machine's; default `$SJS_POLICY`. */
  readonly policyFile?: string;
  readonly reporter?: Reporter;
}

/** Stops what is under way. */
export interface Abortable {
  readonly signal?: AbortSignal;
}

/**
 * What a run takes beside its target. Of a path, or of code that is in no file, `env`, `command`, `inputs` and the names
 * of `secrets` become part of what is sealed; so do `limits` where no sandbox.yaml states them.
 */
export interface RunOptions extends Partial<RunRequest>, Partial<RunOutput> {
  /** The full argument list instead of the declared one. */
  readonly command?: readonly string[];
  /** Files that lie read-only at /in. */
  readonly inputs?: readonly string[];
  /** Published ports and allowed names, as `spec.network` writes them. */
  readonly ports?: readonly string[];
  readonly egress?: readonly string[];
  /** Signals for the program; by default none. `abort` ends the run. */
  readonly signals?: RunSignals;
}

/** What `base import` takes. */
export interface ImportBaseOptions extends Abortable {
  readonly signKey?: string;
  /** Write the key and the repository into the user's policy. */
  readonly trust?: boolean;
}

/** A sealed image in a listing. */
export interface ListedImage extends IndexEntry {
  /** Whether the engine still has it under its tag. */
  readonly isPresent: boolean;
  readonly sizeBytes: number | null;
}

/** A sealed image from the inside. */
export interface InspectedImage {
  readonly entry: IndexEntry;
  readonly image: ImageFacts;
  readonly labels: SealedLabels;
}

/** All that sjs does (SPEC §9). Every method throws {@link SjsError} alone. */
export interface Sjs {
  readonly version: string;
  /** SJS_HOME. */
  readonly home: string;

  /** Reads and validates one sandbox.yaml (a folder or the file); reports all problems at once. */
  readonly loadSandbox: (path: string) => Promise<LoadedSandbox>;
  /** {@link loadSandbox} and the policy; needs no engine. */
  readonly validate: (path: string) => Promise<LoadedSandbox>;
  /** Every sandbox.yaml below a folder, sorted; `node_modules` and hidden folders are passed over. */
  readonly findSandboxes: (directory: string) => Promise<readonly string[]>;
  /** The JSON Schema of sandbox.yaml or of a policy. */
  readonly schema: (kind: 'sandbox' | 'policy') => Promise<object>;
  /** Writes a starting point; returns the files written. */
  readonly init: (directory: string) => Promise<readonly string[]>;

  readonly plan: (path: string, options?: Partial<LockOptions> & Abortable) => Promise<BuildPlan>;
  readonly build: (path: string, options?: Partial<LockOptions> & Abortable) => Promise<BuildResult>;
  /** Resolves and verifies the base and writes sandbox.lock; builds nothing. */
  readonly lock: (path: string, options?: Partial<LockOptions> & Abortable) => Promise<BuildPlan>;

  /** Of a tag, seal or name; or of a path or of code, which are sealed first. */
  readonly run: (target: string | CodeTarget, options?: RunOptions) => Promise<RunRecord>;
  readonly replay: (
    target: string,
    options?: Pick<RunOptions, 'secrets' | 'onStdout' | 'onStderr' | 'signals'>,
  ) => Promise<ReplayResult>;

  /** Newest first. Runs that a dead sjs left are finished first. */
  readonly listRuns: (query?: RecordQuery) => Promise<readonly RunRecord[]>;
  /** By id or a unique beginning of at least six characters. */
  readonly findRun: (id: string) => Promise<RunRecord>;
  /** What a record refers to by digest, checked while it is read. */
  readonly readContent: (digest: Digest) => Promise<Readable>;
  readonly removeRun: (id: string) => Promise<RunRecord>;

  readonly listImages: () => Promise<readonly ListedImage[]>;
  /** By tag, seal or name; the seal is checked. */
  readonly inspectImage: (target: string) => Promise<InspectedImage>;
  readonly verifyImage: (target: string, options?: Abortable) => Promise<SealVerification>;
  /** Removes the tag and the index entry; records stay. */
  readonly removeImage: (target: string) => Promise<IndexEntry>;
  readonly prune: (options?: Abortable) => Promise<PruneResult>;

  /** The policy in force for a folder (default: the operator's alone), and where each line comes from. */
  readonly explainPolicy: (directory?: string) => Promise<PolicyExplanation>;

  readonly importBase: (
    source: string,
    target: string,
    options?: ImportBaseOptions,
  ) => Promise<ImportedBase & { readonly policyFile: string | null }>;
  readonly listBases: (options?: Abortable) => Promise<readonly TrustedBaseListing[]>;
  readonly verifyBase: (reference: string, options?: Abortable) => Promise<VerifiedBase>;

  /** What this machine has and lacks, each with how to mend it. */
  readonly doctor: (options?: Abortable) => Promise<DoctorReport>;
}
