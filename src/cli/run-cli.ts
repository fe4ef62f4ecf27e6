import { createSjs, SjsError } from '../index.js';
import { errorDocument, formatError, toSjsError } from './error-report.js';
import { exitCodeOf, exitCodeOfSignal, RUN_EXIT } from './exit-codes.js';
import { formatGroupHelp, formatHelp, formatVerbHelp } from './help.js';
import { createOutput, OutputError, type Output } from './output.js';
import { createReporter } from './reporter.js';
import { selectVerb, type Selection } from './select-verb.js';
import { VERBS } from './verb-table.js';
import type { CliContext } from './verb.js';

/** Runs one command line and ends the process with its exit status. */
export async function runCli(argv: readonly string[]): Promise<void> {
  // Parsing may fail: whether JSON was asked for has to be known before.
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const output = createOutput({
    json: own.includes('--json'),
    quiet: own.includes('--quiet') || own.includes('-q'),
    verbose: own.includes('--verbose'),
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
  });
  const interrupt = createInterrupt();
  let verb: string | null = null;
  let status: number;
  try {
    const selection = selectVerb(argv);
    verb = selection.verb;
    status = await runSelected(selection, output, interrupt.abortSignal);
  } catch (error) {
    status = await reportFailure(error, verb, output, interrupt.received());
  }
  await Promise.all([flush(output.stdout), flush(output.stderr)]);
  // An inherited stdin that never ends would keep the process.
  process.exit(status);
}

async function runSelected(
  { verb: name, group, rest }: Selection,
  output: Output,
  abortSignal: CliContext['abortSignal'],
): Promise<number> {
  if (name === null) {
    const help = group === null ? formatHelp(output.out) : formatGroupHelp(group, output.out);
    if (group === null) refuseStrayOptions(rest);
    await output.print(help);
    return group === null || rest.includes('--help') || rest.includes('-h') ? 0 : 2;
  }
  const entry = VERBS[name];
  if (entry === undefined) throw new Error(`no verb ${name}`);
  const [verb, { parseArgs }] = await Promise.all([entry.load(), import('./parse-args.js')]);
  const end = rest.indexOf('--');
  const own = end === -1 ? rest : rest.slice(0, end);
  if (own.includes('--help') || own.includes('-h')) {
    await output.print(formatVerbHelp(name, verb, output.out));
    return 0;
  }
  const input = parseArgs(name, verb, rest);
  const policyFile = input.value('policy');
  const sjs = createSjs({
    reporter: createReporter(output),
    ...(policyFile !== undefined && { policyFile }),
  });
  return verb.run(input, { sjs, output, env: process.env, abortSignal });
}

function refuseStrayOptions(words: readonly string[]): void {
  const stray = words.find((word) => word.startsWith('-') && !['-h', '--help', '--version'].includes(word));
  if (stray === undefined) return;
  throw new SjsError('USAGE', `${stray} stands alone: a verb is missing`, { next: 'sjs --help lists the verbs' });
}

/** Says what went wrong; returns the exit status. */
async function reportFailure(
  thrown: unknown,
  verb: string | null,
  output: Output,
  received: NodeJS.Signals | null,
): Promise<number> {
  if (thrown instanceof OutputError) {
    // As a program that SIGPIPE ended: a reader that has seen enough is no failure to talk about.
    if (thrown.code === 'EPIPE') return RUN_EXIT.outputClosed;
    thrown = new SjsError('DISK_FULL', 'the output cannot be written', { cause: thrown });
  }
  const error = toSjsError(thrown);
  if (output.json) await output.printJson(errorDocument(error)).catch(() => undefined);
  output.say(formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }));
  return received === null ? exitCodeOf(error, verb) : exitCodeOfSignal(received);
}

/** Turns SIGINT and SIGTERM into an abort, from the moment somebody asks for it; the second one ends at once. */
function createInterrupt(): {
  readonly abortSignal: () => AbortSignal;
  readonly received: () => NodeJS.Signals | null;
} {
  const controller = new AbortController();
  let received: NodeJS.Signals | null = null;
  let isListening = false;
  const listen = (signal: NodeJS.Signals): void => {
    if (received !== null) process.exit(exitCodeOfSignal(signal));
    received = signal;
    controller.abort(new SjsError('ABORTED', `interrupted by ${signal}`));
  };
  return {
    abortSignal: () => {
      if (!isListening) for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, listen);
      isListening = true;
      return controller.signal;
    },
    received: () => received,
  };
}

const flush = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write('', () => resolve());
  });
