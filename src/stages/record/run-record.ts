import { SjsError } from '../../errors.js';
import type { Call, CallRecord } from '../../model/call.js';
import { cleanText } from '../../model/clean-text.js';
import type { Digest } from '../../model/digest.js';
import {
  RECORD_FORMAT_VERSION,
  type ConnectionRecord,
  type EngineRecord,
  type NetworkRecord,
  type RunRecord,
  type RunState,
} from '../../model/record.js';
import type { RunPlan, SealedImage } from '../../model/sealed-image.js';
import type { UsedWaiver } from '../../model/waiver.js';
import type { Owner, RunOutcome } from '../../ports/engine.js';

/** What is known of a run before it starts. */
export interface RunStart {
  /** ULID. */
  readonly id: string;
  readonly owner: Owner;
  readonly sealed: SealedImage;
  readonly plan: RunPlan;
  /** What the run added to the sealed environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Fingerprint of each secret, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly engine: EngineRecord;
  readonly policyDigest: Digest;
  readonly waivers: readonly UsedWaiver[];
  readonly sjsVersion: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly replayOf: string | null;
  readonly call: Call | null;
  /** The container that was started ahead of it, and has it from now on. */
  readonly member: string | null;
}

/** The record of a run that is about to start: state `created`, to be saved before the container exists; `running` for one
 * that was started ahead. */
export function startRecord(start: RunStart): RunRecord {
  const { sealed, plan, engine } = start;
  return {
    formatVersion: RECORD_FORMAT_VERSION,
    id: start.id,
    tag: sealed.entry.tag,
    seal: sealed.entry.seal,
    state: 'created',
    exitCode: null,
    signal: null,
    oomKilled: null,
    createdAt: new Date(start.createdAt).toISOString(),
    startedAt: null,
    finishedAt: null,
    durationMs: null,
    args: plan.args,
    env: start.env,
    secrets: start.secrets,
    stdin: null,
    stdout: null,
    stderr: null,
    artifacts: [],
    skippedArtifacts: [],
    limits: plan.resources,
    usage: null,
    network: networkOf(plan),
    engine: {
      name: engine.name,
      version: engine.version,
      runtime: engine.runtime,
      runtimeVersion: engine.runtimeVersion,
      kernel: engine.kernel,
      warnings: engine.warnings,
    },
    seccompDigest: sealed.labels.plan.seccompDigest,
    policyDigest: start.policyDigest,
    ...(start.waivers.length > 0 && { waivers: start.waivers }),
    sjsVersion: start.sjsVersion,
    owner: start.owner,
    replayOf: start.replayOf,
    ...(sealed.labels.plan.determinism && { determinism: sealed.labels.plan.determinism }),
    ...(sealed.entry.imported && { importedSeal: sealed.entry.imported }),
    ...(start.member !== null && {
      member: start.member,
      state: 'running' as const,
      startedAt: new Date(start.createdAt).toISOString(),
    }),
    ...(start.call && { call: { ...start.call, answer: null } }),
    ...(sealed.labels.plan.code && { code: { answer: null } }),
    error: null,
  };
}

function networkOf({ network, gateway }: RunPlan): NetworkRecord {
  if (network.mode === 'none') return { mode: 'none', connections: [] };
  return {
    mode: 'isolated',
    gateway: gateway?.seal ?? null,
    ports: network.ports,
    connections: [],
    // Until the gateway has said how many there were.
    omittedConnections: gateway === null ? 0 : null,
  };
}

/**
 * The network of a record with what went over it, as far as it was told.
 * @param omitted how many connections were not; null when nobody knows
 */
export function withConnections(
  network: NetworkRecord,
  connections: readonly ConnectionRecord[],
  omitted: number | null = null,
): NetworkRecord {
  if (network.mode === 'none' || network.gateway === null) return network;
  return { ...network, connections, omittedConnections: omitted };
}

/** What a run took in and left behind. */
export type RunContents = Pick<
  RunRecord,
  'stdin' | 'stdout' | 'stderr' | 'outputTimes' | 'artifacts' | 'skippedArtifacts'
> &
  Partial<Pick<RunRecord, 'network' | 'call' | 'code'>>;

/** The record of a run that ended, by the engine's word and sjs's clock. */
export function finishRecord(record: RunRecord, outcome: RunOutcome, contents: RunContents): RunRecord {
  const answered = exitCodeOfAnswer(outcome, contents.call?.answer ?? null);
  const { state, exitCode } = decideOutcome(outcome, answered, record.call !== undefined);
  return {
    ...record,
    ...contents,
    ...(contents.call && answered === null && { call: { ...contents.call, answer: null } }),
    artifacts: [...contents.artifacts].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)),
    state,
    exitCode,
    signal: decideSignal(state, outcome),
    oomKilled: outcome.oomKilled,
    startedAt: outcome.startedAt,
    finishedAt: outcome.finishedAt,
    durationMs: Math.max(0, Math.round(outcome.durationMs)),
    usage: outcome.usage,
  };
}

/**
 * What a program that gave this answer exits with; null when the answer does not count: the program went on, or ended
 * otherwise than one that answers does. Then the engine's word stands.
 */
function exitCodeOfAnswer({ end, exitCode }: RunOutcome, answer: CallRecord['answer']): number | null {
  if (answer === null) return null;
  const expected = answer.kind === 'error' ? 1 : 0;
  return end === 'answered' || (end === 'exited' && exitCode === expected) ? expected : null;
}

/** A call that ended without an answer did not do what it was for, whatever it exited with. */
function decideOutcome(
  outcome: RunOutcome,
  answered: number | null,
  isCall: boolean,
): Pick<RunRecord, 'state' | 'exitCode'> {
  // It may have been ended before it could exit so by itself.
  if (answered !== null) return { state: answered === 0 ? 'succeeded' : 'failed', exitCode: answered };
  const state = decideState(outcome);
  return { state: isCall && state === 'succeeded' ? 'failed' : state, exitCode: outcome.exitCode };
}

/**
 * The kernel's kill is out of memory only together with death by SIGKILL: a program may lose a child to the kernel and
 * still end by itself (SPEC §6).
 */
function decideState(outcome: RunOutcome): RunState {
  if (outcome.end !== 'exited' && outcome.end !== 'answered') return outcome.end;
  if (outcome.oomKilled && outcome.exitCode === 137) return 'out-of-memory';
  return outcome.exitCode === 0 ? 'succeeded' : 'failed';
}

/** Seen through an init process, dying of a signal and exiting with 128+n are one; only ends that we caused are known. */
function decideSignal(state: RunState, outcome: RunOutcome): string | null {
  switch (state) {
    case 'timed-out':
    case 'out-of-memory':
    case 'output-limit':
    case 'killed':
      return outcome.exitCode === 137 || outcome.exitCode === null ? 'SIGKILL' : null;
    case 'interrupted':
      return outcome.interruptedBy ?? null;
    default:
      return null;
  }
}

/**
 * The record of a run that something stopped outside of the program: `refused` when a right, seal or policy did,
 * `interrupted` when it was aborted, else `failed` without an exit code. The error is kept in one clean line.
 * @param nowMs milliseconds since the epoch
 */
export function failRecord(record: RunRecord, error: unknown, nowMs: number): RunRecord {
  return {
    ...record,
    state: decideFailure(error),
    finishedAt: new Date(nowMs).toISOString(),
    error: {
      code: error instanceof SjsError ? error.code : 'INTERNAL',
      message: cleanText(error instanceof Error ? error.message : String(error)),
    },
  };
}

function decideFailure(error: unknown): RunState {
  if (!(error instanceof SjsError)) return 'failed';
  if (error.code === 'ABORTED') return 'interrupted';
  return ['refused', 'policy', 'verification'].includes(error.kind) ? 'refused' : 'failed';
}
