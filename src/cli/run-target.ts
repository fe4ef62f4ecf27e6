import { LANGUAGES, SjsError, type CodeTarget, type Language } from '../index.js';
import type { OwnStdin } from './own-stdin.js';
import type { VerbInput } from './verb.js';

/** What is to be run, and which words of --env are variables. */
export interface ChosenTarget {
  readonly target: string | CodeTarget;
  readonly envWords: readonly string[];
}

/** What both a variable and a piece of code can look like: `A=1`, `name`. */
const LIKE_VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*(?:=|$)/;

/** Whether code stands in the options: a word of `-e` that is no variable, or `--eval`. */
export const hasCode = (input: VerbInput): boolean =>
  input.value('eval') !== undefined || input.values('env').some((word) => !LIKE_VARIABLE.test(word));

/**
 * The target of a run. Docker's `-e` sets a variable and Node's runs code: with a target it is docker's, without one
 * Node's, and what can be read both ways is refused.
 * @throws SjsError `USAGE`.
 */
export async function chooseTarget(
  input: VerbInput,
  positionals: readonly string[],
  stdin: OwnStdin,
): Promise<ChosenTarget> {
  const [target] = positionals;
  const code = input.value('eval');
  const words = input.values('env');
  if (target !== undefined) {
    if (code !== undefined) {
      throw new SjsError('USAGE', `there are two programs: --eval and ${target}`, {
        next: 'leave one of them out; arguments for the program come after --',
      });
    }
    const stray = words.find((word) => !word.includes('=') && !LIKE_VARIABLE.test(word) && word !== '');
    if (stray !== undefined) {
      throw new SjsError('USAGE', `-e ${JSON.stringify(stray)} is no variable`, {
        next: 'with a target -e is NAME=VALUE, as docker has it; code stands alone: sjs run -e CODE',
      });
    }
    if (target !== '-') return { target, envWords: words };
    return { target: { code: await stdin.read('the code'), name: 'stdin' }, envWords: words };
  }
  const pieces = code === undefined ? words.filter((word) => !LIKE_VARIABLE.test(word)) : [code];
  const variables = code === undefined ? words.filter((word) => LIKE_VARIABLE.test(word)) : words;
  const [piece, ...others] = pieces;
  if (others.length > 0) {
    throw new SjsError('USAGE', 'there are two pieces of code', { next: 'give one -e CODE' });
  }
  if (piece !== undefined) {
    return { target: { code: Buffer.from(piece), name: 'eval' }, envWords: variables };
  }
  const [word] = variables;
  if (word !== undefined) {
    throw new SjsError('USAGE', `-e ${JSON.stringify(word)} is a variable without a program, or code`, {
      next: `name what to run: sjs run -e NAME=VALUE <target>; or, if it is code: sjs run --eval CODE`,
    });
  }
  throw new SjsError('USAGE', '<target> is missing: sjs run <target> [-- args…]', {
    next: 'name a file, a folder, a sealed image, or - for code on standard input; sjs run --help shows how',
  });
}

/** The command of `--cmd`: a JSON list of texts. */
export function parseCommand(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string')) {
    return value;
  }
  throw new SjsError('USAGE', `--cmd ${JSON.stringify(text)} is no JSON list of texts`, {
    next: `write it as --cmd '["node","server.js"]'`,
  });
}

/** The language of `--language`. */
export function parseLanguage(text: string | undefined): Language | undefined {
  const language = LANGUAGES.find((one) => one === text);
  if (text === undefined || language !== undefined) return language;
  throw new SjsError('USAGE', `--language ${JSON.stringify(text)} is not known`, {
    next: `choose ${LANGUAGES.join(', ')}`,
  });
}

/**
 * Refuses arguments that are not UTF-8: Node has replaced their bytes before sjs sees them, and the program would get
 * others than were given.
 * @param readCommandLine the bytes that this process was started with; null where the system does not tell
 */
export function refuseBrokenText(args: readonly string[], readCommandLine: () => Uint8Array | null): void {
  if (!args.some((arg) => arg.includes('\ufffd'))) return;
  const given = readCommandLine();
  if (given === null) return;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(given);
  } catch {
    throw new SjsError('USAGE', 'an argument is not UTF-8, and would not reach the program as it is', {
      next: 'pass its bytes on standard input, or in a file with --in',
    });
  }
}
