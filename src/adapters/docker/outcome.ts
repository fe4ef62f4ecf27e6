import { SjsError } from '../../errors.js';
import { fieldsOf } from '../../model/fields.js';
import type { RunEnd, RunOutcome } from '../../ports/engine.js';
import { textOf } from './answer.js';

/** The fields of a container's `State` in inspect that are read. */
export interface ContainerState {
  readonly Status: string;
  readonly Running: boolean;
  readonly OOMKilled: boolean;
  readonly ExitCode: number;
  readonly StartedAt: string;
  readonly FinishedAt: string;
}

const KILLED = 128 + 9;

/**
 * The state in what inspect says of a container.
 * @throws SjsError `ENGINE_FAILED` when it has none: nothing about the end of a run is guessed.
 */
export function readState(answer: unknown): ContainerState {
  const { Status, Running, OOMKilled, ExitCode, StartedAt, FinishedAt } = fieldsOf(fieldsOf(answer)['State']);
  const [status, startedAt, finishedAt] = [Status, StartedAt, FinishedAt].map(textOf);
  if (
    !status ||
    typeof Running !== 'boolean' ||
    typeof OOMKilled !== 'boolean' ||
    !Number.isSafeInteger(ExitCode) ||
    (ExitCode as number) < 0 ||
    typeof startedAt !== 'string' ||
    typeof finishedAt !== 'string'
  )
    throw new SjsError('ENGINE_FAILED', 'the engine does not say how the container stands');
  return {
    Status: status,
    Running,
    OOMKilled,
    ExitCode: ExitCode as number,
    StartedAt: startedAt,
    FinishedAt: finishedAt,
  };
}

/** Why sjs ended a run, if it did, and whether its signal met the container alive. */
interface OwnEnd {
  readonly reason: RunEnd | null;
  readonly didReach: boolean;
}

/** Whether the end of this container asks for a look into the engine's events: SIGKILL, and not by sjs. */
export function isUnexplainedKill(state: ContainerState, own: OwnEnd): boolean {
  return !isOurs(own) && state.ExitCode === KILLED && !state.OOMKilled;
}

/**
 * Why a run ended. sjs's own reason counts only when its signal met the container alive: a program that ended by
 * itself in the moment of the deadline, or of Ctrl-C, has ended by itself. Output that was cut stays cut.
 */
export function decideEnd(state: ContainerState, own: OwnEnd, killedByOthers: boolean): RunEnd {
  if (own.reason === null || !isOurs(own)) {
    return killedByOthers && isUnexplainedKill(state, own) ? 'killed' : 'exited';
  }
  return own.reason === 'timed-out' && state.ExitCode !== KILLED ? 'exited' : own.reason;
}

const isOurs = ({ reason, didReach }: OwnEnd): boolean =>
  reason !== null && (didReach || reason === 'output-limit' || reason === 'answered');

/** The outcome in the port's words. */
export function toOutcome(
  state: ContainerState,
  end: RunEnd,
  measured: Pick<RunOutcome, 'durationMs' | 'truncated' | 'usage'>,
): RunOutcome {
  return {
    end,
    exitCode: state.ExitCode,
    oomKilled: state.OOMKilled,
    startedAt: toTime(state.StartedAt),
    finishedAt: toTime(state.FinishedAt) ?? new Date().toISOString(),
    ...measured,
  };
}

/** RFC 3339 with milliseconds in UTC; null for Go's zero time, which the engine writes for "never". */
export function toTime(text: string): string | null {
  const time = Date.parse(text);
  return Number.isNaN(time) || text.startsWith('0001-') ? null : new Date(time).toISOString();
}

/** Milliseconds between the engine's two times, never negative. */
export function engineDuration(state: ContainerState): number {
  const [start, end] = [toTime(state.StartedAt), toTime(state.FinishedAt)];
  return start === null || end === null ? 0 : Math.max(0, Date.parse(end) - Date.parse(start));
}
