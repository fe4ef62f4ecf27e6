import type { RunRecord } from './record.js';

/** Signals that interrupt a run, by number: the same on every Unix. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };

/**
 * The exit status of `run`, `call` and of a single replayed run (SPEC §7): the program's own, or the one that stands
 * for what ended it. 125 for a run that sjs or the engine could not finish.
 */
export function exitStatusOf(record: Pick<RunRecord, 'state' | 'exitCode' | 'signal'>): number {
  switch (record.state) {
    case 'succeeded':
    case 'failed':
      return record.exitCode ?? 125;
    case 'timed-out':
      return 124;
    case 'refused':
      return 126;
    case 'interrupted':
      return 128 + (SIGNAL_NUMBERS[record.signal ?? ''] ?? 2);
    case 'out-of-memory':
    case 'output-limit':
    case 'killed':
      return 137;
    case 'created':
    case 'running':
      return 125;
  }
}
