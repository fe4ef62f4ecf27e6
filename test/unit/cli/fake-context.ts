import { Readable, Writable } from 'node:stream';
import type { Sjs } from '../../../src/index.js';
import { createOutput, type OutputStream } from '../../../src/cli/output.js';
import { createOwnStdin } from '../../../src/cli/own-stdin.js';
import { parseArgs } from '../../../src/cli/parse-args.js';
import type { CliContext, Verb } from '../../../src/cli/verb.js';

/** A stream that keeps what is written; `fail` makes every write fail with that code. */
export function memoryStream(
  options: { isTTY?: boolean; fail?: string } = {},
): OutputStream & { text(): string; bytes(): Buffer } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      if (options.fail !== undefined)
        return callback(Object.assign(new Error(options.fail), { code: options.fail }));
      chunks.push(Buffer.from(chunk));
      callback();
    },
  });
  return Object.assign(stream, {
    isTTY: options.isTTY ?? false,
    bytes: () => Buffer.concat(chunks),
    text: () => Buffer.concat(chunks).toString('utf8'),
  });
}

/** Runs a verb with words of a command line over a library of which only some methods are there. */
export async function runVerbWith(
  name: string,
  verb: Verb,
  words: readonly string[],
  sjs: Partial<Sjs>,
  options: {
    stdout?: ReturnType<typeof memoryStream>;
    env?: NodeJS.ProcessEnv;
    received?: NodeJS.Signals;
    stdin?: string;
  } = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const stdout = options.stdout ?? memoryStream();
  const stderr = memoryStream();
  const env = options.env ?? {};
  const input = parseArgs(name, verb, words);
  const context: CliContext = {
    sjs: sjs as Sjs,
    output: createOutput({
      json: input.has('json'),
      quiet: input.has('quiet'),
      verbose: input.has('verbose'),
      env,
      stdout,
      stderr,
    }),
    env,
    stdin: createOwnStdin(() =>
      Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
    ),
    tapSignals: () => ({
      signals: { subscribe: () => () => undefined, abort: new AbortController().signal },
      received: () => options.received ?? null,
    }),
  };
  const status = await verb.run(input, context);
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}
