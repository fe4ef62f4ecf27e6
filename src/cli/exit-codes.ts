import type { RunRecord, SjsError } from '../index.js';

/** What an exit status of SPEC §7 follows from. */
type Kind = SjsError['kind'];

/** A run's own status may be any; these are the ones that sjs uses for itself, as docker and timeout(1) do. */
export const RUN_EXIT = {
  timedOut: 124,
  failed: 125,
  refused: 126,
  notFound: 127,
  killed: 137,
  outputClosed: 141,
} as const;

const RUN_VERBS = new Set(['run', 'call', 'replay']);

const RUN_CODES: Record<Kind, number> = {
  usage: RUN_EXIT.failed,
  failed: RUN_EXIT.failed,
  unreachable: RUN_EXIT.failed,
  verification: RUN_EXIT.refused,
  policy: RUN_EXIT.refused,
  refused: RUN_EXIT.refused,
  'not-found': RUN_EXIT.notFound,
};

const CODES: Record<Kind, number> = {
  failed: 1,
  'not-found': 1,
  usage: 2,
  verification: 3,
  policy: 4,
  refused: 1,
  unreachable: 5,
};

/** The exit status of an error, by the verb that met it (SPEC §7). */
export function exitCodeOf(error: Pick<SjsError, 'kind' | 'code'>, verb: string | null): number {
  if (verb !== null && RUN_VERBS.has(verb)) return RUN_CODES[error.kind];
  // As diff(1): 1 says that they differ.
  if (verb === 'diff' && CODES[error.kind] === 1) return 2;
  // Outside a run a seal that does not hold is a verification that failed.
  return error.code.startsWith('SEAL_') && error.kind === 'refused' ? CODES.verification : CODES[error.kind];
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSYS: 31,
};

/** 128 and the number of the signal, as shells write it. */
export function exitCodeOfSignal(signal: string): number {
  return 128 + (SIGNAL_NUMBERS[signal] ?? 9);
}

/**
 * The exit status of a finished run (SPEC §7): the program's own, or what its state says.
 * @param received the signal that sjs got during the run, if any
 */
export function exitCodeOfRun(
  record: Pick<RunRecord, 'state' | 'exitCode' | 'signal'>,
  received: string | null,
): number {
  switch (record.state) {
    case 'succeeded':
      return 0;
    case 'failed':
      // A call that exited with 0 and gave no result has failed all the same.
      if (record.exitCode === 0) return 1;
      return record.exitCode ?? (record.signal === null ? RUN_EXIT.failed : exitCodeOfSignal(record.signal));
    case 'timed-out':
      return RUN_EXIT.timedOut;
    case 'out-of-memory':
    case 'output-limit':
    case 'killed':
      return RUN_EXIT.killed;
    case 'interrupted':
      return exitCodeOfSignal(received ?? record.signal ?? 'SIGINT');
    case 'refused':
      return RUN_EXIT.refused;
    case 'created':
    case 'running':
      return RUN_EXIT.failed;
  }
}
