import { SjsError } from '../errors.js';
import type { Digest } from './digest.js';

/** The function that a run calls instead of running the program; its arguments, a JSON list, are the run's stdin. */
export interface Call {
  /** Name of the export; `default` too. */
  readonly export: string;
}

/** Arguments of a call beyond this are refused: all of it is in memory, here as there. */
export const ARGUMENTS_BYTES = 16 * 1024 ** 2;

/** An answer beyond this is an error: all of it is in memory, and what JSON says takes many times as much. */
export const ANSWER_BYTES = 16 * 1024 ** 2;

/** What is told of an error at most: of its name, its message and its stack. */
export const THROWN_LETTERS = { name: 200, text: 16 * 1024 } as const;

/** A name of a function is no longer. */
const LONGEST_NAME = 256;

/** @throws SjsError `ARGUMENTS_INVALID` for what cannot be the name of a function */
export function checkExportName(name: unknown): void {
  if (typeof name === 'string' && name.length <= LONGEST_NAME) return;
  const what =
    typeof name === 'string' ? `has ${name.length} letters; ${LONGEST_NAME} are taken` : 'is no text';
  throw new SjsError('ARGUMENTS_INVALID', `the name of the function ${what}`, {
    next: "name an export, as in call(target, 'quote', [order])",
  });
}

/** What kind of answer came: a value, none, or what was thrown. */
export type AnswerKind = 'value' | 'undefined' | 'error';

/** An answer as it came out of the sandbox: the program's word, JSON as far as it says. Empty for `undefined`. */
export interface Answer {
  readonly kind: AnswerKind;
  readonly json: Uint8Array;
}

/** The call of a record. */
export interface CallRecord extends Call {
  /** Null when the call ended without one. */
  readonly answer: { readonly kind: AnswerKind; readonly digest: Digest; readonly bytes: number } | null;
}

/** What a function threw, as far as it could be told; each may be empty. The stack has the sandbox's own paths. */
export interface ThrownError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/**
 * How a call ended. `exited`: the program ended itself without an answer. All but the first two are by the engine's word
 * and sjs's clock; a function that returned `undefined` has a result without a value.
 */
export type CallOutcome =
  | { readonly outcome: 'result'; readonly value?: unknown }
  | { readonly outcome: 'threw'; readonly error: ThrownError }
  | { readonly outcome: 'exited'; readonly exitCode: number | null }
  | {
      readonly outcome: 'timed-out' | 'out-of-memory' | 'output-limit' | 'killed' | 'interrupted';
    };
