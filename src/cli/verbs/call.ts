import { readFile } from 'node:fs/promises';
import { SjsError, type CallResult } from '../../index.js';
import { prepareArtifactFolder } from '../artifact-folder.js';
import { exitCodeOfRun, exitCodeOfSignal } from '../exit-codes.js';
import { describePort, reportClosedOutput, sayEnding } from '../say-ending.js';
import { collectOutput, passOutput, type RunSinks } from '../run-streams.js';
import {
  readReceiptOptions,
  RECEIPT_OPTIONS,
  sayUnsigned,
  signForJson,
  signForPeople,
} from '../receipt-options.js';
import { hasCode, refuseBrokenText } from '../run-target.js';
import { passOptions, pathMeant, readCommandLine, readTarget, TARGET_OPTIONS } from '../target-request.js';
import { answerDockerWord } from '../docker-words.js';
import type { CliContext, Verb } from '../verb.js';
import { chooseRunner, WARM_OPTION } from '../warm.js';

/** Arguments on a command line: the system takes no more. */
const MOST_ARGUMENTS = 1000;

/** `sjs call`: one function with JSON arguments, in a sandbox of its own; prints its JSON result. */
export const callVerb: Verb = {
  examples: [
    [
      `sjs call examples/pricing quote '{"items":[{"sku":"a","qty":2}]}'`,
      'an exported function of a sandbox, with one argument',
    ],
    ["sjs call -e 'export default (a, b) => a + b' default 1 2", 'of code; the default export is default'],
    ['sjs call pricing quote --data order.json', 'of a sealed image, with an argument from a file'],
    ['sjs call pricing quote --data - < order.json', 'or from standard input'],
    ['sjs call pricing shout \'"hello"\'', 'a text is JSON in quotes of its own'],
  ],
  usage: '<target> <function> [json…]',
  positionals: [1, MOST_ARGUMENTS],
  options: {
    ...TARGET_OPTIONS,
    ...WARM_OPTION,
    data: {
      value: 'FILE',
      many: true,
      describe: 'one more argument, as JSON in a file; - for standard input',
    },
    ...RECEIPT_OPTIONS,
  },
  notes: `The result is one line of JSON on stdout, and nothing for undefined. What the function writes itself goes to stderr,
as it comes. Of a result that JSON has no form for (a Map, a BigInt, a cycle, NaN) an error says where it is.

Exit status: 0 with a result; 1 when the function threw, which is told on stderr; else as sjs run.`,
  refuse: answerDockerWord,
  async run(input, context) {
    const { output } = context;
    const isCode = hasCode(input);
    const [name, ...words] = isCode ? input.positionals : input.positionals.slice(1);
    if (name === undefined) {
      throw new SjsError('USAGE', '<function> is missing: sjs call <target> <function> [json…]', {
        next: 'name an export; the default export is called default',
      });
    }
    refuseBrokenText(input.positionals, readCommandLine);
    const runner = await chooseRunner(input, context);
    const args = await readArguments(words, input.values('data'), context);
    const positionals = isCode ? [] : input.positionals.slice(0, 1);
    const { target, request } = await readTarget(input, positionals, context);
    const tap = context.tapSignals();
    const sign = await readReceiptOptions(input, context.sjs, tap.signals.abort);
    const out = input.value('out');
    const onArtifact = out === undefined ? undefined : await prepareArtifactFolder(out);
    const collected = output.json ? collectOutput() : null;
    const shown = collected ? null : passOutput(output, passOptions(input, context));
    // stdout is the result's alone.
    const { onStdout, onStderr } = collected ?? {
      onStdout: (shown as RunSinks).onStderr,
      onStderr: (shown as RunSinks).onStderr,
    };
    try {
      const result = await runner.call(target, name, args, {
        ...request,
        onStdout,
        onStderr,
        ...(onArtifact && { onArtifact }),
        onPorts: (ports) => ports.forEach((port) => output.say(`sjs: ${describePort(port)}`)),
        signals: tap.signals,
      });
      if (tap.signals.abort.aborted) return exitCodeOfSignal(tap.received() ?? 'SIGINT');
      const { record, ...outcome } = result;
      if (collected) {
        const { fields, failure } = await signForJson(sign, record);
        await output.printJson({ ...record, ...outcome, ...fields, output: collected.texts() });
        sayEnding(record, tap.received(), context);
        if (failure) return sayUnsigned(failure, 'call', output);
      } else {
        await show(result, shown as RunSinks);
        await shown?.end();
        sayEnding(record, tap.received(), context);
        await signForPeople(sign, record, output);
      }
      return exitCodeOfRun(record, tap.received());
    } catch (error) {
      if (shown?.failure()) return reportClosedOutput(shown, context);
      throw pathMeant(error, target);
    }
  },
};

/** The arguments as one JSON list, each kept as it was written: numbers beyond 2^53 too. */
async function readArguments(
  words: readonly string[],
  files: readonly string[],
  { stdin }: CliContext,
): Promise<Uint8Array> {
  const texts = words.map((word, at) => checkJson(word, `argument ${at + 1}`));
  for (const file of files) {
    const bytes = file === '-' ? await stdin.read('the argument of --data') : await readData(file);
    texts.push(checkJson(decode(bytes, file), `--data ${file}`));
  }
  return Buffer.from(`[${texts.join(',')}]`);
}

/** Its text, without the mark that some editors put first. */
function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SjsError('ARGUMENTS_INVALID', `--data ${file} is not UTF-8`, { cause, next: 'JSON is UTF-8' });
  }
}

function checkJson(text: string, where: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch (cause) {
    const isWord = /^[\w .:/@-]+$/.test(text);
    throw new SjsError('ARGUMENTS_INVALID', `${where} is no JSON: ${JSON.stringify(text.slice(0, 80))}`, {
      cause,
      next: isWord ? `a text is JSON in quotes of its own: '"${text}"'` : 'check its quotes and commas',
    });
  }
}

async function readData(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new SjsError('USAGE', `--data ${file} cannot be read`, {
      cause,
      next: 'name a file that is there',
    });
  }
}

/** What the program says of itself is shown as its output is. */
async function show(result: CallResult, { onStdout, onStderr }: RunSinks): Promise<void> {
  if (result.outcome === 'result' && result.value !== undefined) {
    await onStdout(Buffer.from(`${JSON.stringify(result.value)}\n`));
  }
  if (result.outcome === 'exited') {
    const how = result.exitCode === null ? '' : ` with ${result.exitCode}`;
    await onStderr(Buffer.from(`sjs: the program ended itself${how}, and gave no result\n`));
  }
  if (result.outcome !== 'threw') return;
  const { name, message, stack } = result.error;
  const first = [name, message].filter((part) => part !== '').join(': ');
  await onStderr(
    // Python's ends with it.
    Buffer.from(`${stack.includes(first) ? stack || first : `${first}\n${stack}`.trimEnd()}\n`),
  );
}
