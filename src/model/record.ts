import type { CallRecord } from './call.js';
import type { Digest } from './digest.js';
import type { PublishedPort } from './network.js';
import type { UsedWaiver } from './waiver.js';
import type { Determinism, Resources } from './sandbox.js';

/** Version of the record's format. Records of older formats stay readable and are never rewritten. */
export const RECORD_FORMAT_VERSION = 1;

/** The states of a run. */
export const RUN_STATES = [
  'created',
  'running',
  'succeeded',
  'failed',
  'timed-out',
  'out-of-memory',
  'output-limit',
  'killed',
  'interrupted',
  'refused',
] as const;

/** How a run stands or ended. Comes from the engine and sjs's own clock, never from what the code said. */
export type RunState = (typeof RUN_STATES)[number];

/** Content kept by its digest. `truncated`: there was more than the limit let through. */
export interface StreamRecord {
  readonly digest: Digest;
  readonly bytes: number;
  readonly truncated: boolean;
}

/**
 * When output came: each mark is the time in milliseconds since `createdAt`, and how many bytes of stdout and of stderr
 * had come until then. Between two marks lie `everyMs` or more: what came sooner after a mark belongs to it.
 */
export interface OutputTimes {
  readonly everyMs: number;
  readonly marks: readonly (readonly [ms: number, stdout: number, stderr: number])[];
}

/** One regular file that the program left in /out. */
export interface ArtifactRecord {
  /** Path below /out, `/`-separated. */
  readonly path: string;
  readonly digest: Digest;
  readonly bytes: number;
}

/** Proof of which process started a run. Boot, pid and start time together never repeat. */
export interface Owner {
  readonly bootId: string;
  readonly pid: number;
  /** Clock ticks after boot at which the process started (`/proc/<pid>/stat`, field 22), or an equivalent. */
  readonly startTime: string;
  /** The SJS_HOME that keeps the record: only its own commands recover or remove what the run left. */
  readonly home: string;
}

/** Which engine ran it. */
export interface EngineRecord {
  readonly name: string;
  readonly version: string;
  readonly runtime: string;
  readonly runtimeVersion: string | null;
  readonly kernel: string | null;
  readonly warnings: readonly string[];
}

/** One connection that the gateway carried or refused, or one name that was asked for and not declared. */
export interface ConnectionRecord {
  /** RFC 3339, by the gateway's clock, which is the engine's. */
  readonly at: string;
  /** `out`: the program connected; `in`: somebody connected to a published port. */
  readonly direction: 'out' | 'in';
  /** The name that the program asked for; null where none was told. Whatever it wrote, at most 253 characters. */
  readonly name: string | null;
  /** `out`: the address that was connected to; `in`: the one that it came from. Null when nothing was connected. */
  readonly address: string | null;
  /** `out`: the port that was connected to; `in`: the published port of the sandbox. Null for a name alone. */
  readonly port: number | null;
  /** What the program sent, and what it was sent. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly verdict: 'allowed' | 'blocked';
  /** Why it was blocked, or failed; null for what went through. */
  readonly reason: string | null;
}

/** The network of a run, and what went over it. */
export type NetworkRecord =
  | { readonly mode: 'none'; readonly connections: readonly never[] }
  | {
      readonly mode: 'isolated';
      /** Seal of the gateway; null when nothing was declared. */
      readonly gateway: Digest | null;
      /** The published ports, those that were chosen by the engine included. */
      readonly ports: readonly PublishedPort[];
      /** In the order in which they ended. */
      readonly connections: readonly ConnectionRecord[];
      /** Connections that were more than are kept; null when the gateway could not say. */
      readonly omittedConnections: number | null;
    };

/** Connections that a record keeps; what is beyond is counted. The guest decides how many there are. */
export const MOST_CONNECTIONS = 1000;

/** One execution, and what is kept of it (SPEC §8). Times are RFC 3339 in UTC. */
export interface RunRecord {
  readonly formatVersion: 1;
  /** ULID. */
  readonly id: string;
  readonly tag: string;
  readonly seal: Digest;
  readonly state: RunState;
  readonly exitCode: number | null;
  /**
   * The signal that sjs or the engine ended the program with: `SIGKILL` for a limit, the passed-on one for an
   * interrupted run. Null for what ended by itself: exit code 137 can be a number that the program chose.
   */
  readonly signal: string | null;
  readonly oomKilled: boolean | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly durationMs: number | null;
  /** The arguments the program got. */
  readonly args: readonly string[];
  /** Environment the run added to the sealed one. */
  readonly env: Readonly<Record<string, string>>;
  /** Name of each secret with its keyed fingerprint; values are never kept. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly stdin: StreamRecord | null;
  readonly stdout: StreamRecord | null;
  readonly stderr: StreamRecord | null;
  /** Absent where nobody was there to note it: runs found again, and those of an older sjs. */
  readonly outputTimes?: OutputTimes;
  readonly artifacts: readonly ArtifactRecord[];
  /** What /out held beside regular files, or that could not be read: path and why. */
  readonly skippedArtifacts: readonly { readonly path: string; readonly reason: string }[];
  /** The effective limits. */
  readonly limits: Resources;
  readonly usage: { readonly cpuMs: number; readonly peakMemoryBytes: number } | null;
  readonly network: NetworkRecord;
  readonly engine: EngineRecord;
  readonly seccompDigest: Digest;
  readonly policyDigest: Digest;
  /** Rules of the policy that were waived for it; absent when none was. */
  readonly waivers?: readonly UsedWaiver[];
  readonly sjsVersion: string;
  /** The process that started it; recovery leaves runs of living owners alone. */
  readonly owner: Owner;
  /** The run this one replays. */
  readonly replayOf: string | null;
  /** What was frozen in the program; absent when nothing was. */
  readonly determinism?: Determinism;
  /** The seal was made elsewhere, and trusted so; absent for one that was made here. */
  readonly importedSeal?: { readonly at: string; readonly trustedBy: 'hand' | 'signature' };
  /** The run itself was elsewhere: when its record came. What it says is somebody's word, which no seal covers. */
  readonly imported?: { readonly at: string };
  /** The container that was started ahead of it; absent for a run whose container was its own from the start. */
  readonly member?: string;
  /** The function it called; absent for a run of the program. */
  readonly call?: CallRecord;
  /** What code gave back that came with the run, on its stdin; absent for a run of a sealed program. */
  readonly code?: { readonly answer: CallRecord['answer'] };
  /** Why a run was refused or could not be finished; null otherwise. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** Whether the run is over. */
export function isFinished(record: Pick<RunRecord, 'state'>): boolean {
  return record.state !== 'created' && record.state !== 'running';
}

/** The id that the container of a run goes by. */
export const containerIdOf = ({ id, member }: Pick<RunRecord, 'id' | 'member'>): string => member ?? id;

/** What a call answered, or code gave back; null for none. */
export const answerOf = ({ call, code }: Pick<RunRecord, 'call' | 'code'>): CallRecord['answer'] =>
  (call ?? code)?.answer ?? null;

/** Everything a record refers to. */
export const contentsOf = (
  record: RunRecord,
): readonly { readonly digest: Digest; readonly bytes: number }[] =>
  [record.stdin, record.stdout, record.stderr, answerOf(record), ...record.artifacts].flatMap((one) =>
    one ? [one] : [],
  );

/** Instead of the owner, in a record that leaves its SJS_HOME: nobody elsewhere has to do with that process. */
export const NO_OWNER: Owner = { bootId: '', pid: 0, startTime: '', home: '' };

/** One difference between a run and its replay. */
export interface Difference {
  /** `state`, `exitCode`, `stdout`, `stderr`, `artifacts/<path>`, … */
  readonly field: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** The verdict of a replay. */
export interface ReplayVerdict {
  readonly reproduced: boolean;
  readonly differences: readonly Difference[];
  /** What changed around the run: engine, kernel, profile, sjs version. Never a reason for `reproduced: false`. */
  readonly environment: readonly Difference[];
  /** Fields that could not be compared, each with the reason. */
  readonly notCompared: readonly { readonly field: string; readonly reason: string }[];
}
