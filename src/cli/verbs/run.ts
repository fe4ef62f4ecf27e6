import type { Readable } from 'node:stream';
import { SjsError, type PublishedPort } from '../../index.js';
import { prepareArtifactFolder } from '../artifact-folder.js';
import { openReport, startDetached } from '../detach.js';
import { answerDockerWord } from '../docker-words.js';
import { exitCodeOfRun, exitCodeOfSignal } from '../exit-codes.js';
import { describePort, reportClosedOutput, sayEnding } from '../say-ending.js';
import {
  readReceiptOptions,
  RECEIPT_OPTIONS,
  sayUnsigned,
  signForJson,
  signForPeople,
} from '../receipt-options.js';
import { collectOutput, openInput, openStdin, passOutput, type RunSinks } from '../run-streams.js';
import { parseCommand, refuseBrokenText } from '../run-target.js';
import { passOptions, pathMeant, readCommandLine, readTarget, TARGET_OPTIONS } from '../target-request.js';
import type { CliContext, Verb, VerbInput } from '../verb.js';
import { chooseRunner, WARM_OPTION } from '../warm.js';

/** `sjs run`: streams live, passes stdin and signals, exits with the program's code. */
export const runVerb: Verb = {
  examples: [
    ['sjs run hello.js', 'a file: sealed first, recognised when unchanged, then run; hello.py is Python'],
    [
      'sjs run ./my-app -- --port 80',
      'a folder: its sandbox.yaml, else its package.json; what follows -- is the program’s',
    ],
    ["sjs run -e 'console.log(1 + 1)'", 'code; sjs run - reads it from standard input'],
    ['sjs run my-job -- 65 17 3233', 'a sealed image: the newest of that name'],
    [
      'sjs run -d --timeout 5s -m 64Mi --secret API_TOKEN my-job',
      'tighter limits, a secret from your environment, and the id at once',
    ],
  ],
  usage: '<target> [-- args…]',
  positionals: [0, 1],
  passesArgs: true,
  options: {
    ...TARGET_OPTIONS,
    detach: { short: 'd', describe: 'print the id of the run when it has begun, and go on without it' },
    ...WARM_OPTION,
    interactive: { short: 'i', describe: 'pass on what you type; pipes and files always are' },
    stdin: { value: 'FILE', describe: 'what the program reads on standard input' },
    cmd: { value: 'JSON', describe: `the whole command, as '["node","x.js"]'; of a path or code only` },
    ...RECEIPT_OPTIONS,
    detached: { hidden: true, describe: 'the half of -d that goes on' },
    rm: { hidden: true, describe: 'always so' },
    network: { also: ['net'], value: 'none', hidden: true, describe: 'always so' },
  },
  notes: `What a target is follows from its form, never from what exists: with a / or a beginning . or an extension (hello.js)
a path; - code on standard input; sjs/… or with a : a tag; seven or more hex digits a seal; else a name: its newest seal.

A file is sealed alone, with the operator's defaults. A folder is what its sandbox.yaml says; without one what
scripts.start (when it is node with a file), exports or main of its package.json name, else its index.js. Types of .ts
programs are stripped, not checked. A .py file is Python; --language deno or bun says that JavaScript is not Node’s.

On a path or code, --env, --secret, --in, --out, --cmd, --language, --port and --egress become part of what is sealed,
and so do limits where there is no sandbox.yaml. A sealed image takes variables, values of its secrets, and limits tighter than the sealed ones.

Exit status: the program's own. When it is sjs's, a line on stderr says so: 124 timed out, 125 sjs or its use failed,
126 refused, 127 no such target, 130 and 143 interrupted, 137 out of memory, output limit or killed.`,
  refuse: answerDockerWord,
  async run(input, context) {
    if (input.has('detached')) return runDetached(input, context);
    if (input.has('detach')) return detach(input, context);
    return runAttached(input, context);
  },
};

/** `-d`: another process owns the run, and this one says which it is. */
async function detach(input: VerbInput, { output }: CliContext): Promise<number> {
  const takesInput =
    input.positionals[0] === '-' || input.values('secret').some((word) => word.endsWith('=@-'));
  if (input.has('interactive') || takesInput) {
    throw new SjsError(
      'USAGE',
      `a detached run reads nothing: ${takesInput ? 'standard input' : '-i'} and -d exclude each other`,
      {
        next: takesInput ? 'put it into a file' : 'leave one of them out',
      },
    );
  }
  const { id, ports, heard } = await startDetached(process.argv.slice(2));
  for (const port of ports) output.say(`sjs: ${describePort(port)}`);
  if (output.json) await output.printJson({ id });
  await output.print(id);
  await heard();
  return 0;
}

/** The half of `-d` that goes on: what the program writes is in its record. */
async function runDetached(input: VerbInput, context: CliContext): Promise<number> {
  const report = openReport();
  const tap = context.tapSignals();
  const file = input.value('stdin');
  let published: readonly PublishedPort[] = [];
  try {
    const sign = await readReceiptOptions(input, context.sjs, tap.signals.abort);
    const runner = await chooseRunner(input, context);
    const { target, request } = await readRequest(input, context);
    const out = input.value('out');
    const record = await runner.run(target, {
      ...request,
      stdin: file === undefined ? null : await openInput(file),
      onPorts: (ports) => void (published = ports),
      onStarted: (id) => report.started(id, { ports: published }),
      ...(out !== undefined && { onArtifact: await prepareArtifactFolder(out) }),
      signals: { ...tap.signals, abort: AbortSignal.any([tap.signals.abort, report.unheard]) },
    });
    await sign(record);
    return exitCodeOfRun(record, tap.received());
  } catch (error) {
    await report.failed(error);
    throw error;
  }
}

async function runAttached(input: VerbInput, context: CliContext): Promise<number> {
  const { sjs, output } = context;
  const runner = await chooseRunner(input, context);
  // Signals are taken only then: one that comes while a secret is read from stdin ends sjs, as ever.
  const { target, request } = await readRequest(input, context);
  const tap = context.tapSignals();
  const sign = await readReceiptOptions(input, sjs, tap.signals.abort);
  const stdin = await openStdinOf(input, context);
  const out = input.value('out');
  const onArtifact = out === undefined ? undefined : await prepareArtifactFolder(out);
  const collected = output.json ? collectOutput() : null;
  const passed = collected ? null : passOutput(output, passOptions(input, context));
  const { onStdout, onStderr } = collected ?? (passed as RunSinks);
  try {
    const record = await runner.run(target, {
      ...request,
      stdin,
      onStdout,
      onStderr,
      ...(onArtifact && { onArtifact }),
      onPorts: (ports) => ports.forEach((port) => output.say(`sjs: ${describePort(port)}`)),
      signals: tap.signals,
    });
    // Told to end while nobody read what was left: the record has it.
    if (tap.signals.abort.aborted) return exitCodeOfSignal(tap.received() ?? 'SIGINT');
    await passed?.end();
    if (!collected) sayEnding(record, tap.received(), context);
    if (collected) {
      const { fields, failure } = await signForJson(sign, record);
      await output.printJson({ ...record, ...fields, output: collected.texts() });
      sayEnding(record, tap.received(), context);
      if (failure) return sayUnsigned(failure, 'run', output);
    } else {
      await signForPeople(sign, record, output);
    }
    return exitCodeOfRun(record, tap.received());
  } catch (error) {
    if (passed?.failure()) return reportClosedOutput(passed, context);
    throw pathMeant(error, target);
  } finally {
    stdin?.destroy();
  }
}

/** The program's standard input: a file's, or this process's own when nothing else has read that. */
async function openStdinOf(input: VerbInput, { stdin }: CliContext): Promise<Readable | null> {
  const file = input.value('stdin');
  if (file === undefined) return stdin.takenBy === null ? openStdin(input.has('interactive')) : null;
  if (input.has('interactive')) {
    throw new SjsError('USAGE', '--stdin and -i are two sources of one standard input', {
      next: 'give one of them',
    });
  }
  return openInput(file);
}

/** What is to be run, and what is asked of it. */
async function readRequest(input: VerbInput, context: CliContext) {
  refuseBrokenText(input.programArgs ?? [], readCommandLine);
  const command = parseCommand(input.value('cmd'));
  const { target, request } = await readTarget(input, input.positionals, context);
  return { target, request: { ...request, args: input.programArgs, ...(command && { command }) } };
}
