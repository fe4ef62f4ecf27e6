import { Readable } from 'node:stream';
import { SjsError } from '../errors.js';
import { ARGUMENTS_BYTES, type Answer, type CallOutcome } from '../model/call.js';
import { formatBytes } from '../model/quantity.js';
import type { RunRecord } from '../model/record.js';
import type { RunSignals } from '../ports/engine.js';
import { readOutcome } from '../stages/call/read-outcome.js';
import type { RunOutput } from './execute-run.js';
import { runSandbox, type RunTarget, type RunTools } from './run-sandbox.js';

/** How a call ended, and its record. */
export type CallResult = CallOutcome & { readonly record: RunRecord };

/**
 * Calls a function of a sealed program in a sandbox of its own. What it returned or threw is a result, never an exception.
 * @param args a JSON list
 * @throws SjsError as {@link runSandbox}; `NOT_CALLABLE`, `ARGUMENTS_INVALID`.
 */
export async function callFunction(
  sealing: Promise<RunTarget>,
  name: string,
  args: Uint8Array,
  output: Omit<RunOutput, 'stdin'>,
  signals: RunSignals,
  tools: RunTools,
): Promise<CallResult> {
  let answer = null as Answer | null;
  const calling = sealing.then(({ target, request }) => ({
    target,
    request: { ...request, call: { export: name } },
    argumentBytes: args.length,
  }));
  const streams = {
    ...output,
    stdin: Readable.from([args], { objectMode: false }),
    onAnswer: (given: Answer) => void (answer = given),
  };
  const record = await runSandbox(calling, streams, signals, tools);
  return { ...readOutcome(record, answer), record };
}

/**
 * The arguments of a call as they reach the function.
 * @throws SjsError `ARGUMENTS_INVALID` for what JSON cannot say.
 */
export function encodeArguments(args: readonly unknown[]): Uint8Array {
  return checkArguments(Buffer.from(writeJson(args)));
}

/** @throws SjsError `ARGUMENTS_INVALID` when they are more than a call takes. */
export function checkArguments(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= ARGUMENTS_BYTES) return bytes;
  throw new SjsError(
    'ARGUMENTS_INVALID',
    `the arguments have ${formatBytes(bytes.length)}; a call takes ${formatBytes(ARGUMENTS_BYTES)}`,
    { next: 'put large data into a file of the sandbox, or read it from standard input with sjs run' },
  );
}

function writeJson(args: readonly unknown[]): string {
  try {
    return JSON.stringify(args);
  } catch (cause) {
    throw new SjsError('ARGUMENTS_INVALID', 'an argument cannot be written as JSON', {
      cause,
      next: 'pass texts, numbers, booleans, null, lists and plain objects',
    });
  }
}
