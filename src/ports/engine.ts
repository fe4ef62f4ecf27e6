import type { Readable } from 'node:stream';
import type { Platform } from '../model/base.js';
import type { PublishedPort } from '../model/network.js';
import type { ConnectionRecord, EngineRecord, Owner } from '../model/record.js';
import type { Control, RunPlan } from '../model/run-plan.js';

/** What an engine is, and which controls it can enforce on this machine. */
export interface EngineFacts extends EngineRecord {
  /** What it runs natively; null when it does not say. */
  readonly platform: Platform | null;
  /** What a run that publishes ports must know of this engine; null when there is nothing. */
  readonly portWarning: string | null;
  /** Public IPv4 addresses of the machine it runs on, as far as they can be seen. */
  readonly hostAddresses: readonly string[];
  /** Controls it cannot enforce, each with the reason. A run that needs one is refused before it starts. */
  readonly missingControls: readonly { readonly control: Control; readonly reason: string }[];
}

/** Where a run's bytes come from and go to. */
export interface RunStreams {
  /** Null: the program sees the end of input at once. It is destroyed when the run is over. */
  readonly stdin: Readable | null;
  /** What the program is given ahead of that, and nobody keeps. */
  readonly head?: Uint8Array;
  /** Each piece of stdin before the program is given it; the engine waits for the promise. */
  readonly onStdin: (chunk: Uint8Array) => void | Promise<void>;
  /** Called in order; the engine waits for the promise before it reads on. A throw ends the run. */
  readonly onStdout: (chunk: Uint8Array) => void | Promise<void>;
  /** How much of what was handed over is no output of the program's, and counts towards no limit. */
  readonly markBytes?: () => number;
  readonly onStderr: (chunk: Uint8Array) => void | Promise<void>;
  /** Each regular file of /out, after the program is dead. The content must be read to its end. */
  readonly onArtifact: (path: string, bytes: number, content: AsyncIterable<Uint8Array>) => Promise<void>;
  readonly onSkippedArtifact: (path: string, reason: string) => void;
  /** Each connection over the gateway when it has ended, at most `MOST_CONNECTIONS`. */
  readonly onConnection: (connection: ConnectionRecord) => void;
  /** Called before the program starts, when it publishes ports: those that the engine chose are in it. */
  readonly onPorts: (ports: readonly PublishedPort[]) => void;
  /** Called once, when the container runs. */
  readonly onStarted: () => void;
  /** Awaited before the program starts: what must be on disk by then. When it rejects, nothing runs. */
  readonly beforeStart: () => Promise<void>;
  /**
   * Called when the program is being ended, and when it has ended: from then on its output must not wait for a slow
   * receiver. An engine may not see the end of a program before all that it wrote is taken (Docker does not).
   */
  readonly onEnding: () => void;
  /** Fulfilled when the program has done what it was for: it is ended then. */
  readonly answered?: Promise<unknown>;
  /** Called once with the outcome, before anything is removed: what it keeps is kept when the engine forgets. */
  readonly onEnded: (outcome: RunOutcome) => Promise<void>;
}

/** Why a run ended, by the engine's word and sjs's clock. */
export type RunEnd = 'exited' | 'answered' | 'timed-out' | 'output-limit' | 'interrupted' | 'killed';

/** How one run ended. */
export interface RunOutcome {
  readonly end: RunEnd;
  readonly exitCode: number | null;
  readonly oomKilled: boolean;
  /** For an interrupted run: the first terminating signal that was passed on. */
  readonly interruptedBy?: NodeJS.Signals | null;
  /** RFC 3339, by the engine's clock; null when it never started. */
  readonly startedAt: string | null;
  readonly finishedAt: string;
  /** By sjs's monotonic clock; by the engine's times for a run found again. */
  readonly durationMs: number;
  /** Whether output was cut at the limit. */
  readonly truncated: { readonly stdout: boolean; readonly stderr: boolean };
  readonly usage: { readonly cpuMs: number; readonly peakMemoryBytes: number } | null;
  /** Connections over the gateway beyond those told; null when nobody knows, absent when there was no gateway. */
  readonly omittedConnections?: number | null;
}

/** What a run whose sjs is gone may still do. */
export interface RecoverLimits {
  readonly timeoutMs: number;
  readonly outputBytes: number;
  /** RFC 3339: when its time began, where that is not the start of its container. */
  readonly since?: string;
}

/** A run whose sjs is gone and whose container still exists. */
export interface AbandonedRun {
  readonly runId: string;
  readonly owner: Owner;
  /** What it was marked with, if it was started ahead. */
  readonly mark?: string;
}

/** A container that was started ahead, and has one run to come. */
export interface Member {
  readonly id: string;
  /** By the engine's word: it runs as it was started, not paused, and nothing in it ran out of memory. */
  isFit(): Promise<boolean>;
  /** As {@link Engine.run}; the container is left to {@link Member.remove}. Once. */
  run(plan: RunPlan, streams: RunStreams, signals: RunSignals): Promise<RunOutcome>;
  /** Removes it, whether it ran or not; again does nothing. */
  remove(): Promise<void>;
}

/** What executes a sealed image. */
export interface Engine {
  /** Asks the engine what it is and can do. `ENGINE_UNREACHABLE`, `ENGINE_TIMEOUT`. */
  probe(signal?: AbortSignal): Promise<EngineFacts>;
  /** Whether it was shown before that this engine keeps a network of a run to itself; the first such run shows it. */
  isIsolationProven(): Promise<boolean>;
  /**
   * Carries the plan out and leaves nothing behind, however it ends.
   * Of the signals, SIGINT, SIGTERM, SIGHUP and SIGQUIT interrupt: the first is passed on and the program has a grace
   * period, with the second it is killed. SIGKILL kills at once. SIGUSR1 and SIGUSR2 are passed on, others are not.
   * An abort before the start throws `ABORTED`; after it the outcome is `interrupted`, with what was written. Neither
   * counts when the program had ended by itself before the signal met it.
   * @throws `ENGINE_UNREACHABLE`, `ENGINE_TIMEOUT`, `ENGINE_FAILED`, `CONTAINER_LOST`, `SEAL_IMAGE_MISSING`,
   * `CONTROL_MISSING`, `PORT_TAKEN`.
   */
  run(
    runId: string,
    owner: Owner,
    plan: RunPlan,
    streams: RunStreams,
    signals: RunSignals,
  ): Promise<RunOutcome>;
  /**
   * Starts a container ahead of the run that it is for, without network and /out: what is not there yet is only what to
   * do. Whatever becomes of this process, nothing of it is left that has no run.
   * @param mark by which it is known again without a record
   * @throws as {@link Engine.run}
   */
  prepare(memberId: string, mark: string, owner: Owner, plan: RunPlan): Promise<Member>;
  /** Runs of this SJS_HOME that still have a container, volume or collector. */
  listRuns(home: string, signal?: AbortSignal): Promise<readonly AbandonedRun[]>;
  /**
   * Finishes a run whose sjs is gone: waits for its end or its deadline, then hands over output and connections (from
   * the engine's logs) and outcome, and removes what it left. Null when its program never ran or is gone.
   */
  recover(
    run: AbandonedRun,
    limits: RecoverLimits,
    streams: Pick<RunStreams, 'onStdout' | 'onStderr' | 'markBytes' | 'onConnection' | 'onEnded'>,
    signal?: AbortSignal,
  ): Promise<RunOutcome | null>;
  /**
   * Sends a signal to the program of a run, by whomever it was started: for runs whose owner is dead, or does not act.
   * False when it does not run.
   */
  signal(runId: string, signal: NodeJS.Signals): Promise<boolean>;
  /**
   * What a running program uses, about once a second, until it ends or the signal fires. Nothing when it does not run.
   */
  watchUsage(runId: string, signal?: AbortSignal): AsyncIterable<UsageSample>;
}

/** What a run uses just now. */
export interface UsageSample {
  /** Hundredths of one CPU: 150 is one and a half. Null in a first sample: it takes two. */
  readonly cpuPercent: number | null;
  readonly cpuMs: number;
  /** Without what the kernel can take back, as `docker stats` counts it. */
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  /** Processes and threads. */
  readonly pids: number;
}

/** Signals on their way to the program. */
export interface RunSignals {
  /** Registers the receiver; returns how to unregister. The grace period is the engine's when none is given. */
  subscribe(listener: (signal: NodeJS.Signals, graceMs?: number) => void): () => void;
  /** Aborts the run: the program is killed and everything removed. */
  readonly abort?: AbortSignal;
}

export type { Owner };
