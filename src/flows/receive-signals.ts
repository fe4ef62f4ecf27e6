import type { RunSignals } from '../ports/engine.js';
import type { RecordStore } from '../ports/record-store.js';

/** How soon a request by another process is met. */
const POLL_MS = 200;

/** The signals of this process, and what others ask for this run with `sjs stop` and `sjs kill`. */
export function receiveSignals(
  runId: string,
  signals: RunSignals,
  store: Pick<RecordStore, 'takeSignals'>,
): RunSignals['subscribe'] {
  return (listener) => {
    const unsubscribe = signals.subscribe(listener);
    const ask = async (): Promise<void> => {
      for (const { signal, graceMs } of await store.takeSignals(runId)) listener(signal, graceMs);
    };
    // A store that does not answer has other ways to say so.
    const timer = setInterval(() => void ask().catch(() => undefined), POLL_MS);
    timer.unref();
    return () => {
      clearInterval(timer);
      unsubscribe();
    };
  };
}
