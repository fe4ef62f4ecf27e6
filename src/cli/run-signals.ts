import type { RunSignals } from '../index.js';

const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** The signals of this process during one run. */
export interface SignalTap {
  readonly signals: RunSignals;
  /** The first signal that asked for the end; null when none did. */
  readonly received: () => NodeJS.Signals | null;
  readonly close: () => void;
}

/** Passes signals to the program while there is one; before and after, one that asks for the end aborts the command. */
export function tapSignals(): SignalTap {
  const abort = new AbortController();
  const listeners = new Set<(signal: NodeJS.Signals) => void>();
  let received: NodeJS.Signals | null = null;
  const pass = (signal: NodeJS.Signals): void => {
    const isEnding = ENDING.includes(signal);
    if (isEnding) received ??= signal;
    for (const listener of listeners) listener(signal);
    if (listeners.size === 0 && isEnding) abort.abort();
  };
  for (const signal of PASSED) process.on(signal, pass);
  return {
    signals: {
      abort: abort.signal,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    received: () => received,
    close: () => {
      for (const signal of PASSED) process.off(signal, pass);
    },
  };
}
