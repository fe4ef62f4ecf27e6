import { SjsError } from '../errors.js';
import { ARGUMENTS_BYTES, type Answer, type ThrownError } from '../model/call.js';
import type { CodeTarget } from '../model/grants.js';
import { codeCommand, LANGUAGES, type Language } from '../model/language.js';
import { formatBytes } from '../model/quantity.js';
import type { RunRecord } from '../model/record.js';
import { readAnswered } from '../stages/call/read-outcome.js';
import type { RunOutput } from './execute-run.js';

/** How code ended that came with its run: its record says; and what it gave back. */
export interface CodeResult {
  readonly record: RunRecord;
  /** What it left in `result`; absent when it left nothing, or what JSON has no form for. */
  readonly data?: unknown;
  /** Why `data` is absent, when it left something. */
  readonly dataError?: ThrownError;
}

/** Code, and the `data` that it finds: anything that JSON can say. */
export interface GivenCode {
  readonly code: string;
  readonly data?: unknown;
}

/**
 * The sandbox of a language whose program is whatever code comes with a run: one seal for all of that.
 * @throws SjsError `USAGE` for what is no language of sjs's.
 */
export function codeSandbox(language: Language): {
  readonly target: CodeTarget;
  readonly language: Language;
  readonly command: readonly string[];
} {
  if (!LANGUAGES.includes(language)) {
    throw new SjsError('USAGE', `there is no sandbox for code in ${JSON.stringify(language)}`, {
      next: `choose one of ${LANGUAGES.join(', ')}`,
    });
  }
  const command = codeCommand(language);
  const comment = language === 'python' ? '#' : '//';
  const code = Buffer.from(`${comment} The code comes with each run, and ${command[1]} runs it.\n`);
  return { target: { code, name: 'code' }, language, command };
}

/**
 * Runs code in a sandbox of {@link codeSandbox}. Code and data are the run's stdin, so that a replay has them.
 * @param run runs such a sandbox
 * @throws SjsError `ARGUMENTS_INVALID` for data that JSON cannot say, and for more than a run takes; as `run`.
 */
export async function runCode(
  { code, data }: GivenCode,
  run: (document: Uint8Array, streams: Pick<RunOutput, 'onAnswer'>) => Promise<RunRecord>,
): Promise<CodeResult> {
  const document = encodeDocument(code, data);
  let answer = null as Answer | null;
  const record = await run(document, {
    onAnswer: (given) => void (answer = given),
  });
  if (answer === null) return { record };
  const given = readAnswered(answer);
  if (given.outcome === 'threw') return { record, dataError: given.error };
  return { record, ...('value' in given && { data: given.value }) };
}

function encodeDocument(code: string, data: unknown): Uint8Array {
  if (typeof code !== 'string') {
    throw new SjsError('ARGUMENTS_INVALID', 'the code is no text', { next: 'give the code as a string' });
  }
  let text: string;
  try {
    text = JSON.stringify({ code, data });
  } catch (cause) {
    throw new SjsError('ARGUMENTS_INVALID', 'the data cannot be written as JSON', {
      cause,
      next: 'pass texts, numbers, booleans, null, lists and plain objects',
    });
  }
  const bytes = Buffer.from(text);
  if (bytes.length <= ARGUMENTS_BYTES) return bytes;
  const [size, most] = [formatBytes(bytes.length), formatBytes(ARGUMENTS_BYTES)];
  throw new SjsError('ARGUMENTS_INVALID', `code and data have ${size}; a run takes ${most}`, {
    next: 'give it less at a time',
  });
}
