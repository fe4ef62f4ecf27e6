import type { Readable } from 'node:stream';
import type { BuildResult } from './flows/build-sandbox.js';
import type { DoctorReport } from './flows/check-machine.js';
import type { PolicyCheck } from './flows/check-policy.js';
import type { CallResult } from './flows/call-function.js';
import type { CloneResult } from './flows/clone-image.js';
import type { BuildPlan } from './flows/describe-plan.js';
import type { SandboxDiff } from './flows/diff-images.js';
import type { ExportResult } from './flows/export-image.js';
import type { ImportResult } from './flows/import-image.js';
import type { PoolOptions } from './flows/open-pool.js';
import type { PoolBounds, PoolCounts } from './flows/warm-pool.js';
import type { OutputPiece, OutputQuery } from './flows/follow-run.js';
import type { ImportedBase } from './flows/import-base.js';
import type { TrustedBaseListing } from './flows/list-bases.js';
import type { ListedImage } from './flows/list-images.js';
import type { KeptReceipt, ReceiptRequest } from './flows/make-receipt.js';
import type { PruneResult } from './flows/prune.js';
import type { PublishedImage } from './flows/find-published.js';
import type { PullResult } from './flows/pull-image.js';
import type { PushResult } from './flows/push-image.js';
import type { RebaseResult } from './flows/rebase-image.js';
import type { ReplayResult } from './flows/replay-run.js';
import type { RunOutput } from './flows/execute-run.js';
import type { CodeResult } from './flows/run-code.js';
import type { Publisher, TrustedPublisher } from './flows/trust-publisher.js';
import type { ReceiptVerification } from './flows/verify-receipt.js';
import type { SignResult } from './flows/sign-seal.js';
import type { SealVerification } from './flows/verify-sandbox.js';
import type { VerifiedBase } from './model/base.js';
import type { BillFormat } from './model/bill-format.js';
import type { Digest } from './model/digest.js';
import type { CodeTarget } from './model/grants.js';
import type { Language } from './model/language.js';
import type { RunRecord } from './model/record.js';
import type { RunRequest } from './model/run-plan.js';
import type { LoadedSandbox } from './model/sandbox.js';
import type { ImageFacts, IndexEntry, SealedLabels } from './model/sealed-image.js';
import type { RunSignals, UsageSample } from './ports/engine.js';
import type { RecordQuery } from './ports/record-store.js';
import type { Reporter } from './ports/reporter.js';
import type { RightChange } from './stages/compare/compare-rights.js';
import type { PolicyExplanation } from './stages/policy/explain-policy.js';

export type {
  BuildPlan,
  BuildResult,
  CallResult,
  CloneResult,
  CodeResult,
  KeptReceipt,
  OutputPiece,
  OutputQuery,
  ReceiptVerification,
  RightChange,
  SandboxDiff,
};
import type { Provenance } from './stages/attest/provenance.js';

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
 * What a run takes beside its target. Of a path, or of code that is in no file, `env`, `command`, `inputs` and the
 * names of `secrets` become part of what is sealed; so do `limits` where no sandbox.yaml states them.
 */
export interface RunOptions extends Partial<RunRequest>, Partial<RunOutput> {
  /** The full argument list instead of the declared one. */
  readonly command?: readonly string[];
  /** Files that lie read-only at /in. */
  readonly inputs?: readonly string[];
  /** Published ports and allowed names, as `spec.network` writes them. */
  readonly ports?: readonly string[];
  readonly egress?: readonly string[];
  /** What the program is written in, when its ending does not say. */
  readonly language?: Language;
  /** Ends the run when it is aborted: its record says `interrupted`. */
  readonly signal?: AbortSignal;
  /** Signals for the program; by default none. `abort` ends the run. */
  readonly signals?: RunSignals;
}

/**
 * What is under way: the promise of how it ends, and what it writes until then, live. Who reads first gets what came before,
 * too, unless it went to `onStdout` or `onStderr`. A loop that is left ends nothing; `signal` does.
 */
export type Running<T> = Promise<T> & AsyncIterable<OutputPiece>;

/** What code takes that comes with its run. Its limits become part of what is sealed, once for each. */
export interface RunCodeOptions extends Pick<
  RunOptions,
  'limits' | 'onStdout' | 'onStderr' | 'onStarted' | 'signal' | 'signals'
> {
  /** What the code is written in; by default Node's JavaScript. */
  readonly language?: Language;
  /** What the code finds as `data`: anything that JSON can say. */
  readonly data?: unknown;
}

/** What a call takes beside its function: as a run, but that its arguments are the function's. */
export type CallOptions = Omit<RunOptions, 'args' | 'stdin' | 'call' | 'onAnswer'>;

/** What a pool is of, and how it is to be. */
export interface CreatePoolOptions
  extends PoolOptions, Omit<RunOptions, 'args' | 'stdin' | 'call' | 'limits' | keyof RunOutput> {
  readonly target: string | CodeTarget;
}

/** How a pool is to be for code that comes with each run. Its limits become part of what is sealed. */
export interface CreateCodePoolOptions extends Omit<PoolOptions, 'preload'>, Abortable {
  /** What the code is written in. */
  readonly language: Language;
}

/** What a run or call of a pool takes. One that asks for what the containers do not have gets one of its own. */
export type PoolRunOptions = Pick<
  RunOptions,
  | 'args'
  | 'env'
  | 'secrets'
  | 'limits'
  | 'stdin'
  | 'onStdout'
  | 'onStderr'
  | 'onStarted'
  | 'signal'
  | 'signals'
>;

/** Containers of one sealed image, started ahead. Its state is in the engine and this process: close it. */
interface AnyPool extends AsyncDisposable {
  readonly tag: string;
  /** Fulfilled when `size` containers wait; rejects with what keeps them from it. */
  readonly ready: () => Promise<void>;
  readonly status: () => PoolStatus;
  /** Waits for what is at work, and removes all. */
  readonly close: () => Promise<void>;
}

/** A pool for runs of a program and calls of its functions. */
export interface Pool extends AnyPool {
  readonly run: (options?: PoolRunOptions) => Running<RunRecord>;
  readonly call: (
    name: string,
    args?: readonly unknown[] | Uint8Array,
    options?: Omit<PoolRunOptions, 'args' | 'stdin'>,
  ) => Running<CallResult>;
}

/** A pool for code that comes with each run. */
export interface CodePool extends AnyPool {
  readonly run: (code: string, options?: Omit<RunCodeOptions, 'language'>) => Running<CodeResult>;
}

/** How a pool stands, and how it was asked to be. */
export type PoolStatus = PoolCounts & PoolBounds;

/** What of a lock is chosen anew. `dependencies` takes what the lockfile of npm has, as every lock does, and keeps the base. */
export type LockUpdate = 'all' | 'base' | 'dependencies';

declare const batch: unique symbol;

/** What several builds share; see {@link Sjs.createBatch}. */
export interface Batch {
  readonly [batch]: true;
}

/** How a sandbox is planned, locked or built. */
export interface BuildOptions extends Abortable {
  /** Refuse when the lock would change. */
  readonly frozen?: boolean;
  readonly update?: LockUpdate | boolean;
  readonly batch?: Batch;
}

/** What `base import` takes. */
export interface ImportBaseOptions extends Abortable {
  readonly signKey?: string;
  /** Write the key and the repository into the user's policy. */
  readonly trust?: boolean;
}

/** Where a sealed image is pushed to, and who signs it there. */
export interface PushImageOptions extends Abortable {
  /** `registry/path`, to which the name of the sandbox is added; default: the policy's `defaults.repository`. */
  readonly repository?: string;
  /** A key file, or a reference to a key as cosign takes it; `true` signs without a key. Absent: not signed. */
  readonly sign?: string | boolean;
}

/** What a build does with what it sealed. */
export interface PublishOptions extends PushImageOptions {
  readonly push?: boolean;
}

/** What came of that. */
export interface Published {
  readonly pushed?: PushResult;
  /** The statement of the seal, where it was signed and not pushed. */
  readonly signed?: SignResult;
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

  /** For several plans, builds or locks that belong together: what policy, registry and cosign say is asked once. */
  readonly createBatch: () => Batch;
  readonly plan: (path: string, options?: BuildOptions) => Promise<BuildPlan>;
  readonly build: (path: string, options?: BuildOptions & PublishOptions) => Promise<BuildResult & Published>;
  /** Resolves and verifies the base and writes sandbox.lock; builds nothing. */
  readonly lock: (path: string, options?: BuildOptions) => Promise<BuildPlan>;
  /** Checks that sandbox.lock answers what sandbox.yaml and the lockfile ask for; asks neither engine nor registry. */
  readonly checkLock: (path: string) => Promise<void>;

  /** Of a tag, seal or name; or of a path or of code, which are sealed first. */
  readonly run: (target: string | CodeTarget, options?: RunOptions) => Running<RunRecord>;
  /**
   * Calls an exported function of a target in a sandbox of its own, which is a run like any other. What the function
   * returned or threw is in the result; only what kept it from being called is thrown.
   * @param args what JSON can say; or its text, a list, as bytes
   */
  readonly call: (
    target: string | CodeTarget,
    name: string,
    args?: readonly unknown[] | Uint8Array,
    options?: CallOptions,
  ) => Running<CallResult>;
  /**
   * Runs code that comes with the run and becomes part of no image: as the main program of a sealed sandbox of its
   * language, which is made when there is none. It finds `data` in a global of that name; what it leaves in the global
   * `result` is the result's `data`.
   */
  readonly runCode: (code: string, options?: RunCodeOptions) => Running<CodeResult>;
  /**
   * Containers started ahead, each for one call or run, in which nobody was before. The target is sealed first, if need
   * be; `ready` waits until as many wait as are to. With a `language` instead of a target, for code that comes with each
   * run.
   */
  readonly createPool: {
    (options: CreatePoolOptions): Promise<Pool>;
    (options: CreateCodePoolOptions): Promise<CodePool>;
  };
  readonly replay: (
    target: string,
    options?: Pick<RunOptions, 'secrets' | 'onStdout' | 'onStderr' | 'signal' | 'signals'>,
  ) => Promise<ReplayResult>;

  /**
   * The sealed image that a target means, by the index; a path or code is sealed first. With it what is left to ask of
   * a run: what was sealed needs no saying twice.
   * @throws SjsError `TARGET_*`, `RIGHTS_WIDENED`, and as {@link run} for what is sealed first
   */
  readonly findTarget: (
    target: string | CodeTarget,
    options?: RunOptions,
  ) => Promise<{ readonly entry: IndexEntry; readonly request: RunRequest }>;

  /** Newest first. Runs that a dead sjs left are finished first. */
  readonly listRuns: (query?: RecordQuery) => Promise<readonly RunRecord[]>;
  /** By id or a unique beginning of at least six characters. */
  readonly findRun: (id: string) => Promise<RunRecord>;
  /** What a record refers to by digest, checked while it is read. */
  readonly readContent: (digest: Digest) => Promise<Readable>;
  /** What a run wrote, and with `follow` what it still writes, until it is over. */
  readonly readOutput: (id: string, query?: OutputQuery) => AsyncIterable<OutputPiece>;
  /** Waits until the run is over, whichever process owns it. */
  readonly waitRun: (id: string, options?: Abortable) => Promise<RunRecord>;
  /** Ends a run: SIGTERM, and after the grace (10 s by default) SIGKILL. Over already: as it is. */
  readonly stopRun: (id: string, options?: { readonly graceMs?: number }) => Promise<RunRecord>;
  /** Kills a run at once, or passes another signal on; `RUN_ENDED` when it is over. */
  readonly killRun: (id: string, signal?: NodeJS.Signals) => Promise<RunRecord>;
  /** What a running program uses, about once a second, until it ends. */
  readonly watchUsage: (id: string, options?: Abortable) => AsyncIterable<UsageSample>;
  readonly removeRun: (id: string) => Promise<RunRecord>;

  /**
   * The signed receipt of a finished run, kept beside its record. With a `key` (a file or a reference, as cosign takes
   * them) it is made anew; without one it is the kept one, else one that is signed keyless.
   */
  readonly makeReceipt: (id: string, options?: Partial<ReceiptRequest> & Abortable) => Promise<KeptReceipt>;
  /** Whether a receipt could be made so, before there is a run: nothing is signed. Throws as {@link Sjs.makeReceipt}. */
  readonly checkReceipt: (options: Partial<ReceiptRequest> & Abortable) => Promise<void>;
  /** The receipt that is kept of a run; null for none. */
  readonly findReceipt: (id: string) => Promise<KeptReceipt | null>;
  /**
   * Checks a receipt in a file, without network: by a public key in a file, or by whom the policy trusts; and compares
   * it with what is known here.
   */
  readonly verifyReceipt: (
    file: string,
    options?: Abortable & { readonly key?: string },
  ) => Promise<ReceiptVerification>;

  /** The index of seals and the records as they stand on disk: no engine is asked, and nothing recovered. */
  readonly listEntries: () => Promise<readonly IndexEntry[]>;
  readonly listRecords: (query?: RecordQuery) => Promise<readonly RunRecord[]>;
  readonly listImages: () => Promise<readonly ListedImage[]>;
  /** By tag, seal or name; the seal is checked. */
  readonly inspectImage: (target: string) => Promise<InspectedImage>;
  /** Checks each link of the chain anew; `offline` asks nobody but the engine, and goes by what was verified before. */
  readonly verifyImage: (
    target: string,
    options?: Abortable & { readonly offline?: boolean },
  ) => Promise<SealVerification>;
  /** The environment that a program finds, without secrets; the seal is checked. */
  readonly inspectEnv: (
    target: string,
  ) => Promise<{ readonly labels: SealedLabels; readonly env: Readonly<Record<string, string>> }>;
  /** Writes the sealed source and a sandbox.yaml into a new or empty folder: building it gives the same seal. */
  readonly cloneImage: (target: string, directory: string, options?: Abortable) => Promise<CloneResult>;
  /** Writes a sealed image (or a run's) with its finished runs as one OCI archive; `runs` chooses those by id. */
  readonly exportImage: (
    target: string,
    file: string,
    options?: Abortable & { readonly runs?: readonly string[] },
  ) => Promise<ExportResult>;
  /** Takes an export in; a seal that was not made here only when `trust` is that seal, whole. */
  readonly importImage: (
    file: string,
    options?: Abortable & { readonly trust?: string },
  ) => Promise<ImportResult>;
  /**
   * How two sandboxes differ, each a sealed image (tag, seal or name) or the path of a sandbox.yaml or its folder:
   * rights, base, packages, program, environment, files. Paths alone need no engine; null is one that is not there.
   */
  readonly diff: (from: string | null, to: string | null, options?: Abortable) => Promise<SandboxDiff>;
  /** The sandboxes below two folders, those at the same place side by side. */
  readonly pairSandboxes: (
    from: string,
    to: string,
  ) => Promise<
    readonly { readonly path: string; readonly from: string | null; readonly to: string | null }[]
  >;
  /** Pushes a sealed image to a registry under its tag, and signs it there. */
  readonly pushImage: (target: string, options?: PushImageOptions) => Promise<PushResult>;
  /** What the registry has of a sealed image, where the policy says it is pushed to; nothing is verified. */
  readonly findPublished: (target: string, options?: Abortable) => Promise<PublishedImage>;
  /** Takes in what was pushed and signed elsewhere, when the policy trusts who signed; a tag is resolved once. */
  readonly pullImage: (reference: string, options?: Abortable) => Promise<PullResult>;
  /** The bill of materials of a sealed image, as its standard's JSON: the same for the same seal, wherever it was made. */
  readonly describeImage: (
    target: string,
    format: BillFormat,
    options?: Abortable,
  ) => Promise<Readonly<Record<string, unknown>>>;
  /** The SLSA provenance of a seal that was made here. */
  readonly describeProvenance: (target: string, options?: Abortable) => Promise<Provenance>;
  /** Puts what is sealed over another base (`repository:version` or `repository@digest`), from the sealed image alone. */
  readonly rebaseImage: (target: string, base: string, options?: Abortable) => Promise<RebaseResult>;
  /** Removes the tag and the index entry; records stay. */
  readonly removeImage: (target: string) => Promise<IndexEntry>;
  /** Removes what retention has outlived; with `dryRun` it only says what that would be. */
  readonly prune: (
    options?: Abortable & { readonly dryRun?: boolean; readonly adHoc?: boolean },
  ) => Promise<PruneResult>;

  /** Sandboxes, folders of them, tags and seals against the policy in force; what is refused is told, not thrown. */
  readonly checkPolicy: (targets: readonly string[], options?: Abortable) => Promise<PolicyCheck>;
  /** Publishers of signed bases that sjs has a ready entry for. */
  readonly listPublishers: () => Promise<readonly Publisher[]>;
  /** Writes a publisher's entry into the user's policy, or the one named by `policyFile`. */
  readonly trustPublisher: (name: string) => Promise<TrustedPublisher>;
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
