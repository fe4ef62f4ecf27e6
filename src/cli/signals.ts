import { SjsError, type RunSignals } from '../index.js';
import { exitCodeOfSignal } from './exit-codes.js';

const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** The signals of this process while a command works. */
export interface SignalTap {
  /** For a run: passed to its program. `abort` alone for everything else. */
  readonly signals: RunSignals & { readonly abort: AbortSignal };
  /** The first signal that asked for the end; null when none did. */
  readonly received: () => NodeJS.Signals | null;
}

/**
 * Takes the signals of this process: they go to a run's program while there is one. Otherwise one that asks for the
 * end aborts the command, which then removes what it made; the next one ends the process at once.
 */
export function tapSignals(): SignalTap {
  const tap = createTap((signal) => process.exit(exitCodeOfSignal(signal)));
  for (const signal of PASSED) process.on(signal, tap.pass);
  return tap;
}

/** @param onAgain told of the signal that comes when the command has been aborted already */
export function createTap(
  onAgain: (signal: NodeJS.Signals) => void,
): SignalTap & { readonly pass: (signal: NodeJS.Signals) => void } {
  const abort = new AbortController();
  const listeners = new Set<(signal: NodeJS.Signals) => void>();
  let received: NodeJS.Signals | null = null;
  const pass = (signal: NodeJS.Signals): void => {
    const isEnding = ENDING.includes(signal);
    if (isEnding) received ??= signal;
    for (const listener of listeners) listener(signal);
    if (listeners.size > 0 || !isEnding) return;
    if (abort.signal.aborted) onAgain(signal);
    abort.abort(new SjsError('ABORTED', `interrupted by ${signal}`));
  };
  return {
    pass,
    signals: {
      abort: abort.signal,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    received: () => received,
  };
}
