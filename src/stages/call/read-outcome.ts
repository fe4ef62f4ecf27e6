import { THROWN_LETTERS, type Answer, type CallOutcome, type ThrownError } from '../../model/call.js';
import { fieldsOf } from '../../model/fields.js';
import { parseJson } from '../../model/parse-json.js';
import type { RunRecord } from '../../model/record.js';

/** How a call ended, by its finished record and the answer that came. */
export function readOutcome({ state, exitCode, call }: RunRecord, answer: Answer | null): CallOutcome {
  switch (state) {
    case 'timed-out':
    case 'out-of-memory':
    case 'output-limit':
    case 'killed':
    case 'interrupted':
      return { outcome: state };
    default:
      return answer === null || !call?.answer ? { outcome: 'exited', exitCode } : readAnswered(answer);
  }
}

/** What an answer says. */
export function readAnswered({
  kind,
  json,
}: Answer): Extract<CallOutcome, { readonly outcome: 'result' | 'threw' }> {
  if (kind === 'undefined') return { outcome: 'result' };
  try {
    const value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(json));
    return kind === 'value' ? { outcome: 'result', value } : { outcome: 'threw', error: errorOf(value) };
  } catch {
    const message = 'what came as the result is no JSON that sjs writes: the program wrote it itself';
    return { outcome: 'threw', error: { name: 'ResultError', message, stack: '' } };
  }
}

function errorOf(value: unknown): ThrownError {
  const { name, message, stack } = fieldsOf(value);
  const { name: ofName, text: ofText } = THROWN_LETTERS;
  // The guest keeps to it too; the program need not.
  const text = (one: unknown, most: number): string => (typeof one === 'string' ? one.slice(0, most) : '');
  return { name: text(name, ofName), message: text(message, ofText), stack: text(stack, ofText) };
}
