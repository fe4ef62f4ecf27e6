import type { PublishedPort, RunRecord } from '../../index.js';
import { prepareArtifactFolder } from '../artifact-folder.js';
import { answerDockerWord } from '../docker-words.js';
import { exitCodeOfRun, exitCodeOfSignal, RUN_EXIT } from '../exit-codes.js';
import { describeBlocked, describeEnding } from '../run-ending.js';
import { LIMIT_OPTIONS, parseEnv, parseLimits, readSecrets } from '../run-request.js';
import { collectOutput, openStdin, passOutput, type RunSinks } from '../run-streams.js';
import type { CliContext, Verb, VerbInput } from '../verb.js';
import { isCi } from '../workflow-commands.js';

/** `sjs run`: streams live, passes stdin and signals, exits with the program's code. */
export const runVerb: Verb = {
  examples: [
    ['sjs run my-job -- 65 17 3233', 'the newest seal of that name; what follows -- goes to the program'],
    ['sjs run sjs/my-job:1.0.0-3f9a0c1b2d4e < in.txt > out.txt', 'one exact image, with files in and out'],
    [
      'sjs run --timeout 5s -m 64Mi --secret API_TOKEN my-job',
      'tighter limits, and a secret from your environment',
    ],
  ],
  usage: '<target> [-- args…]',
  positionals: [1, 1],
  passesArgs: true,
  options: {
    env: { short: 'e', value: 'NAME=VALUE', many: true, describe: 'set a variable; NAME alone takes yours' },
    interactive: { short: 'i', describe: 'pass on what you type; pipes and files always are' },
    ...LIMIT_OPTIONS,
    secret: {
      value: 'NAME',
      many: true,
      describe: 'a declared secret, from your environment; NAME=@FILE takes it from a file',
    },
    raw: { describe: 'show the output on a terminal just as it is, control sequences too' },
    out: { value: 'DIR', describe: 'write what the program left in /out into a new or empty folder' },
    rm: { hidden: true, describe: 'always so' },
    network: { also: ['net'], value: 'none', hidden: true, describe: 'always so' },
  },
  notes: `A target is a tag, a seal (seven or more hex digits) or a name: the newest seal of that name.
Limits can be tighter than the sealed ones, never wider.

Exit status: the program's own. When it is sjs's, a line on stderr says so: 124 timed out, 125 sjs or its use failed,
126 refused, 127 no such target, 130 and 143 interrupted, 137 out of memory, output limit or killed.`,
  refuse: answerDockerWord,
  async run(input, context) {
    const { sjs, output } = context;
    const request = {
      args: input.programArgs,
      env: parseEnv(input.values('env'), context.env),
      secrets: await readSecrets(input.values('secret'), context.env),
      limits: parseLimits(input),
    };
    const out = input.value('out');
    const onArtifact = out === undefined ? undefined : await prepareArtifactFolder(out);
    const collected = output.json ? collectOutput() : null;
    const passed = collected ? null : passOutput(output, passOptions(input, context));
    const { onStdout, onStderr } = collected ?? (passed as RunSinks);
    const stdin = openStdin(input.has('interactive'));
    const tap = context.tapSignals();
    try {
      const record = await sjs.run(input.positionals[0] ?? '', {
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
      if (collected) await output.printJson({ ...record, output: collected.texts() });
      sayEnding(record, tap.received(), context);
      return exitCodeOfRun(record, tap.received());
    } catch (error) {
      if (passed?.failure()) return reportClosedOutput(passed, context);
      throw error;
    } finally {
      stdin?.destroy();
    }
  },
};

/** How output is passed on, from the options and whether this is a CI system. */
export function passOptions(input: VerbInput, { env }: CliContext): { raw: boolean; ci: boolean } {
  return { raw: input.has('raw'), ci: isCi(env) };
}

const describePort = ({ hostAddress, hostPort, containerPort }: PublishedPort): string =>
  `${hostAddress}:${hostPort} leads to port ${containerPort} of the sandbox`;

function sayEnding(record: RunRecord, received: string | null, { output }: CliContext): void {
  const ending = describeEnding(record, received);
  for (const line of [ending, describeBlocked(record)]) if (line !== null) output.say(`sjs: ${line}`);
}

/** The program is dead and the record is closed; what is left to say is why. */
function reportClosedOutput(sinks: RunSinks, { output }: CliContext): number {
  const failure = sinks.failure();
  const closed = failure?.code === 'EPIPE';
  output.say(
    `sjs: the run was ended: ${closed ? 'nobody reads its output any more' : (failure?.message ?? '')}`,
  );
  return closed ? RUN_EXIT.outputClosed : RUN_EXIT.failed;
}
