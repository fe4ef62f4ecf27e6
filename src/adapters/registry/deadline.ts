/** A time limit that can be pushed out, and the signal that fires when it or the caller's own signal does. */
export interface Deadline {
  readonly signal: AbortSignal;
  readonly isPassed: () => boolean;
  /** Something moved: the limit counts from now. */
  readonly extend: () => void;
  /** Stops the clock. */
  readonly clear: () => void;
}

/** Starts a time limit of `ms` milliseconds. */
export function startDeadline(ms: number, outer?: AbortSignal): Deadline {
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const clear = (): void => clearTimeout(timer);
  const extend = (): void => {
    clear();
    timer = setTimeout(() => own.abort(new Error(`no answer within ${ms} ms`)), ms);
  };
  extend();
  return {
    signal: outer ? AbortSignal.any([own.signal, outer]) : own.signal,
    isPassed: () => own.signal.aborted,
    extend,
    clear,
  };
}
