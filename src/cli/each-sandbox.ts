import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import pLimit from 'p-limit';
import { workOn } from './current-sandbox.js';
import { errorDocument, formatError, toSjsError } from './error-report.js';
import { exitCodeOf } from './exit-codes.js';
import { formatTable } from './table.js';
import { cleanLine } from './terminal.js';
import type { CliContext, OptionSpec } from './verb.js';

/** `--all` of the verbs that take a path. */
export const ALL_OPTION = {
  all: { describe: 'every sandbox below the path, several at once' },
} as const satisfies Record<string, OptionSpec>;

/** What one of several sandboxes came to. */
export interface Outcome {
  /** For the table at the end. */
  readonly what: string;
  readonly tag?: string;
}

/** One of several things to be done. */
export interface Task<T> {
  /** How it is called in messages and in the table. */
  readonly name: string;
  readonly act: () => Promise<T>;
  /** Tells what came of it, as soon as all before it are told. */
  readonly tell: (result: T) => Promise<Outcome>;
  /** The same of a failure with `--json`, which people are told on stderr. */
  readonly tellError: (document: ReturnType<typeof errorDocument>) => Promise<void>;
}

/**
 * Does several things at once, as many as there are processors, and tells of each in the given order. One that fails does
 * not keep the others; a table of all ends it.
 * @returns the exit status of the first that failed, else 0
 */
export async function doAll<T>(
  verb: string,
  tasks: readonly Task<T>[],
  { output }: Pick<CliContext, 'output'>,
  signal?: AbortSignal,
): Promise<number> {
  const running: Promise<PromiseSettledResult<T>>[] = [];
  const limit = pLimit(availableParallelism());
  for (const { name, act } of tasks) {
    running.push(
      limit(() => workOn(name, act)).then(
        (value): PromiseSettledResult<T> => ({ status: 'fulfilled', value }),
        (reason: unknown): PromiseSettledResult<T> => ({ status: 'rejected', reason }),
      ),
    );
  }
  let status = 0;
  const rows: string[][] = [];
  for (const [at, { name, tell, tellError }] of tasks.entries()) {
    const result = await running[at];
    if (result?.status === 'fulfilled') {
      const { what, tag = '' } = await tell(result.value);
      rows.push([name, what, tag]);
      continue;
    }
    if (signal?.aborted) throw result?.reason;
    const error = toSjsError(result?.reason);
    if (output.json) await tellError(errorDocument(error));
    output.say(`${cleanLine(name)}:`);
    output.say(formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }));
    rows.push([name, `FAILED: ${error.code}`, '']);
    status ||= exitCodeOf(error, verb);
  }
  output.endWait();
  const width = rows.some(([, , tag]) => tag !== '') ? 3 : 2;
  output.note(
    await formatTable(
      ['sandbox', 'what', 'tag'].slice(0, width),
      rows.map((row) => row.slice(0, width)),
    ),
  );
  return status;
}

/** {@link doAll} for every sandbox.yaml below a folder; `--json` prints a line each. */
export async function forAllSandboxes<T extends object>(
  verb: string,
  directory: string,
  context: CliContext,
  act: (file: string) => Promise<T>,
  tell: (result: T, name: string) => Promise<Outcome>,
): Promise<number> {
  const { sjs, output, tapSignals } = context;
  const files = await sjs.findSandboxes(directory);
  const tasks = files.map((file): Task<T> => {
    const name = nameOf(file);
    return {
      name,
      act: () => act(file),
      tell: async (result) => {
        if (output.json) await output.printJsonLine({ file, ...result });
        return tell(result, name);
      },
      tellError: (document) => output.printJsonLine({ file, ...document }),
    };
  });
  return doAll(verb, tasks, context, tapSignals().signals.abort);
}

/** A sandbox by its folder, as seen from here. */
export function nameOf(file: string): string {
  return relative(process.cwd(), file).replace(/(?:^|\/)sandbox\.ya?ml$/, '') || '.';
}
