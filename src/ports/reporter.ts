/** Where a flow says what it is doing. Never results: those are returned. */
export interface Reporter {
  /** A stage begins: `verify`, with what it is working on. */
  step(stage: string, message: string): void;
  /** The last step is over, and nothing is waited for. */
  done(): void;
  /** Something the reader should know though nothing failed. */
  warn(message: string): void;
  /** Detail for `--verbose`. */
  debug(message: string): void;
}

/** Says nothing. */
export const silentReporter: Reporter = {
  step: () => undefined,
  done: () => undefined,
  warn: () => undefined,
  debug: () => undefined,
};
