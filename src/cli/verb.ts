import type { Sjs } from '../index.js';
import type { Output } from './output.js';
import type { OwnStdin } from './own-stdin.js';
import type { SignalTap } from './signals.js';

/** One option of a verb, as help shows it and the parser takes it. */
export interface OptionSpec {
  /** One letter. */
  readonly short?: string;
  /** Other long names of the same option: docker's, where they differ. */
  readonly also?: readonly string[];
  /** What stands for the value in the help; an option without it is a switch. */
  readonly value?: string;
  /** The only values it takes, each of which may be left out: alone it says `all`. */
  readonly words?: readonly string[];
  /** Its value may be left out, and is then empty: `--receipt`, or `--receipt=FILE`; never the next word. */
  readonly optional?: true;
  /** May be given more than once. */
  readonly many?: true;
  readonly describe: string;
  /** Taken, but not worth a line in the help. */
  readonly hidden?: true;
}

/** What was given on the command line, checked against the verb's options. */
export interface VerbInput {
  readonly positionals: readonly string[];
  /** Everything after `--`; null without one. Only for verbs that pass arguments on. */
  readonly programArgs: readonly string[] | null;
  readonly has: (option: string) => boolean;
  readonly value: (option: string) => string | undefined;
  readonly values: (option: string) => readonly string[];
}

/** What a verb works with. */
export interface CliContext {
  readonly sjs: Sjs;
  readonly output: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: OwnStdin;
  /** Throws where only what a pool needs is loaded: whoever started the command goes on with all of sjs. */
  readonly loadAll?: () => never;
  /** From the first call on, signals no longer end the process at once. */
  readonly tapSignals: () => SignalTap;
}

/** One verb of the command line. */
export interface Verb {
  /** Two to five commands with what each does; shown first in the help. */
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  /** What follows the verb: `<target> [-- args…]`. */
  readonly usage: string;
  /** How many positional arguments it takes. */
  readonly positionals: readonly [least: number, most: number];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** Everything after `--` goes to a program. */
  readonly passesArgs?: true;
  /** Docker's words that mean something else here: option name to answer. */
  readonly refuse?: (option: string, value: unknown) => Error | null;
  /** More to say below the options. */
  readonly notes?: string;
  /** Does it; returns the exit status. */
  run(input: VerbInput, context: CliContext): Promise<number>;
}

/** Options of every verb. */
export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  json: { describe: 'print one JSON document on stdout, and nothing else there' },
  quiet: { short: 'q', describe: 'say only what went wrong' },
  verbose: { describe: 'say more; with an error, where in sjs it came from' },
  policy: { value: 'FILE', describe: "a policy file, besides the machine's and yours" },
  help: { short: 'h', describe: 'show this help' },
};
