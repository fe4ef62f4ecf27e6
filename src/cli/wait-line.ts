import type { Colors, OutputStream } from './output.js';

const TICK_MS = 1000;
const CLEAR = '\r\x1b[K';

/** A line on a terminal that says how long something takes, from its first second on. */
export interface WaitLine {
  /** Something begins: counts from zero. */
  start(): void;
  /** Takes the line away until the next second: something else is about to be written. */
  clear(): void;
  /** It is over. */
  stop(): void;
}

/** On anything but a terminal, and in a CI system's log, nothing is ever shown. */
export function createWaitLine(stream: OutputStream, colors: Colors, isShown: boolean): WaitLine {
  let timer: NodeJS.Timeout | null = null;
  let isThere = false;
  const clear = (): void => {
    if (isThere) stream.write(CLEAR);
    isThere = false;
  };
  const stop = (): void => {
    clear();
    if (timer) clearInterval(timer);
    timer = null;
  };
  return {
    clear,
    stop,
    start: () => {
      stop();
      if (!isShown) return;
      let seconds = 0;
      timer = setInterval(() => {
        seconds += 1;
        stream.write(`${CLEAR}${colors.dim(`        ${formatSeconds(seconds)} so far`)}`);
        isThere = true;
      }, TICK_MS);
      timer.unref();
    },
  };
}

const formatSeconds = (seconds: number): string =>
  seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
