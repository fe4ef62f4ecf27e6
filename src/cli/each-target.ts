import { errorDocument, formatError, toSjsError } from './error-report.js';
import { exitCodeOf } from './exit-codes.js';
import type { CliContext } from './verb.js';

/** What came of several targets. */
export interface TargetResults<T> {
  readonly done: readonly T[];
  /** As `--json` prints them. */
  readonly errors: readonly unknown[];
  /** The exit status: that of the first failure. */
  readonly status: number;
}

/** Does something to one target after the other; as with docker, one that fails does not keep the others. */
export async function forEachTarget<T>(
  verb: string,
  targets: readonly string[],
  { output }: Pick<CliContext, 'output'>,
  act: (target: string) => Promise<T>,
): Promise<TargetResults<T>> {
  const done: T[] = [];
  const errors: unknown[] = [];
  let status = 0;
  for (const target of targets) {
    try {
      done.push(await act(target));
    } catch (thrown) {
      const error = toSjsError(thrown);
      if (targets.length === 1 || error.code === 'ABORTED') throw error;
      errors.push(errorDocument(error).error);
      output.say(
        formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }),
      );
      status ||= exitCodeOf(error, verb);
    }
  }
  return { done, errors, status };
}
