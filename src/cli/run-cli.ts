import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createSjs, nearest, SjsError } from '../index.js';
import { errorDocument, formatError, toSjsError } from './error-report.js';
import { exitCodeOf, exitCodeOfSignal, RUN_EXIT } from './exit-codes.js';
import { formatGroupHelp, formatHelp, formatVerbHelp } from './help.js';
import { createOutput, OutputError, write, type Output } from './output.js';
import { createOwnStdin } from './own-stdin.js';
import { createReporter } from './reporter.js';
import { selectVerb, type Selection } from './select-verb.js';
import { tapSignals, type SignalTap } from './signals.js';
import { VERBS } from './verb-table.js';
import type { CliContext } from './verb.js';

/** How long an interrupted command waits for its last words to be read. */
const INTERRUPTED_PATIENCE_MS = 1000;

/** Where only what a pool needs is loaded: {@link runCli} goes on with all of sjs. */
class NeedsAll extends Error {}

/**
 * Runs one command line and ends the process with its exit status.
 * @param isPart only a part of sjs is loaded; returns, before anything was read or said, when it takes all of it
 */
export async function runCli(argv: readonly string[], isPart = false): Promise<void> {
  // Parsing may fail: whether JSON was asked for has to be known before.
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const asksFor = (option: string): boolean => own.includes(option) || own.includes(`${option}=true`);
  const output = createOutput({
    json: asksFor('--json'),
    quiet: asksFor('--quiet') || own.includes('-q'),
    verbose: asksFor('--verbose'),
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
  });
  let tap: SignalTap | null = null;
  let verb: string | null = null;
  let status: number;
  // Node would print the line that threw, and a bundle is one line.
  process.once('uncaughtException', (error) => {
    void reportFailure(error, verb, output, tap).then((code) => process.exit(code));
  });
  try {
    const selection = selectVerb(argv);
    verb = selection.verb;
    status = await runSelected(selection, output, () => (tap ??= tapSignals()), isPart);
  } catch (error) {
    if (error instanceof NeedsAll) return;
    status = await reportFailure(error, verb, output, tap);
  }
  await Promise.race([Promise.all([flush(output.stdout), flush(output.stderr)]), givenUp(tap)]);
  // An inherited stdin that never ends would keep the process.
  process.exit(status);
}

async function runSelected(
  { verb: name, group, rest }: Selection,
  output: Output,
  tapOnce: CliContext['tapSignals'],
  isPart: boolean,
): Promise<number> {
  if (name === null) {
    const help = group === null ? formatHelp(output.out) : formatGroupHelp(group, output.out);
    if (group === null) refuseStrayOptions(rest);
    await write(output.stdout, `${help}\n`);
    return group === null || rest.includes('--help') || rest.includes('-h') ? 0 : 2;
  }
  const entry = VERBS[name];
  if (entry === undefined) throw new Error(`no verb ${name}`);
  const verb = await entry.load();
  const end = rest.indexOf('--');
  const own = end === -1 ? rest : rest.slice(0, end);
  if (own.includes('--help') || own.includes('-h')) {
    await write(output.stdout, `${formatVerbHelp(name, verb, output.out)}\n`);
    return 0;
  }
  const { parseArgs } = await import('./parse-args.js');
  const input = parseArgs(name, verb, rest);
  const policyFile = input.value('policy');
  const sjs = createSjs({
    reporter: createReporter(output),
    ...(policyFile !== undefined && { policyFile }),
  });
  return verb.run(input, {
    sjs,
    output,
    env: process.env,
    stdin: createOwnStdin(() => process.stdin),
    tapSignals: tapOnce,
    ...(isPart && { loadAll }),
  });
}

function loadAll(): never {
  throw new NeedsAll();
}

function refuseStrayOptions(words: readonly string[]): void {
  const stray = words.find((word) => word.startsWith('-') && !['-h', '--help', '--version'].includes(word));
  if (stray === undefined) return;
  const name = stray.replace(/^-+|=.*$/gs, '');
  const meant = name === 'v' ? 'version' : nearest(name, ['help', 'version']);
  throw new SjsError('USAGE', `${stray} stands alone: a verb is missing`, {
    next: meant === undefined ? 'sjs --help lists the verbs' : `did you mean sjs --${meant}?`,
  });
}

/** Says what went wrong; returns the exit status. */
async function reportFailure(
  thrown: unknown,
  verb: string | null,
  output: Output,
  tap: SignalTap | null,
): Promise<number> {
  if (thrown instanceof OutputError) {
    // As a program that SIGPIPE ended: a reader that has seen enough is no failure to talk about.
    if (thrown.code === 'EPIPE') return RUN_EXIT.outputClosed;
    thrown = new SjsError('DISK_FULL', 'the output cannot be written', { cause: thrown });
  }
  const error = toSjsError(thrown);
  output.endWait();
  if (output.json) await output.printJson(errorDocument(error)).catch(() => undefined);
  output.say(formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }));
  const received = tap?.received() ?? null;
  return received === null ? exitCodeOf(error, verb) : exitCodeOfSignal(received);
}

/** When nobody takes what is left to be written, a signal ends the wait: one that comes, or soon after one that came. */
const givenUp = async (tap: SignalTap | null): Promise<void> => {
  if (tap === null) return new Promise(() => undefined);
  if (tap.received() !== null) return delay(INTERRUPTED_PATIENCE_MS);
  await once(tap.signals.abort, 'abort');
};

const flush = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write('', () => resolve());
  });
