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
    arguments: args,
  }));
  const streams = {
    ...output,
    stdin: null,
    onAnswer: (given: Answer) => void (answer = given),
  };
  const record = await runSandbox(calling, streams, signals, tools);
  return { ...readOutcome(record, answer), record };
}

/**
 * The arguments of a call as they reach the function: a property that is undefined is left out, an undefined element is
 * null, what has `toJSON` is what that returns.
 * @throws SjsError `ARGUMENTS_INVALID` for what JSON cannot say.
 */
export function encodeArguments(args: readonly unknown[]): Uint8Array {
  if (!Array.isArray(args)) throw notAList();
  try {
    return checkSize(Buffer.from(JSON.stringify(args, refuseLost)));
  } catch (cause) {
    if (cause instanceof SjsError) throw cause;
    throw new SjsError('ARGUMENTS_INVALID', 'an argument cannot be written as JSON', {
      cause,
      next: 'pass texts, numbers, booleans, null, lists and plain objects',
    });
  }
}

/** What JSON.stringify would make something else of, without a word. */
function refuseLost(_key: string, value: unknown): unknown {
  const isLost =
    (typeof value === 'number' && !Number.isFinite(value)) ||
    ['function', 'symbol'].includes(typeof value) ||
    value instanceof Map ||
    value instanceof Set;
  if (isLost) throw new TypeError(`JSON has no form for ${String(value)}`);
  return value;
}

/** @throws SjsError `ARGUMENTS_INVALID` when the text is no JSON list, or more than a call takes. */
export function checkArguments(bytes: Uint8Array): Uint8Array {
  checkSize(bytes);
  try {
    if (Array.isArray(JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))))
      return bytes;
  } catch (cause) {
    throw notAList(cause);
  }
  throw notAList();
}

const notAList = (cause?: unknown): SjsError =>
  new SjsError('ARGUMENTS_INVALID', 'the arguments are no JSON list in UTF-8', {
    cause,
    next: 'pass a list of values, or its text as bytes',
  });

function checkSize(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= ARGUMENTS_BYTES) return bytes;
  throw new SjsError(
    'ARGUMENTS_INVALID',
    `the arguments have ${formatBytes(bytes.length)}; a call takes ${formatBytes(ARGUMENTS_BYTES)}`,
    { next: 'put large data into a file of the sandbox, or read it from standard input with sjs run' },
  );
}
