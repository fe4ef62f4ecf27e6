import { Parser } from 'yargs/helpers';
import { nearest, SjsError } from '../index.js';
import { GLOBAL_OPTIONS, type OptionSpec, type Verb, type VerbInput } from './verb.js';

/** What the words of a verb need beside the verb itself. */
export type Parsable = Pick<Verb, 'options' | 'positionals' | 'usage' | 'passesArgs' | 'refuse'>;

/**
 * Checks the words after a verb against its options.
 * @throws SjsError `USAGE` for what the verb does not take, with what was probably meant.
 */
export function parseArgs(name: string, verb: Parsable, words: readonly string[]): VerbInput {
  const specs = { ...GLOBAL_OPTIONS, ...verb.options };
  const end = words.indexOf('--');
  const before = end === -1 ? words : words.slice(0, end);
  // What follows `--` is never shown to the parser, so that nothing of it can be read as a number or an option.
  const after = end === -1 ? null : words.slice(end + 1);
  const split = emptyOptionals(splitShortValues(before, specs), specs);
  const plain = fillOptionalWords(plainSwitches(name, joinDashes(split, specs), specs), specs);
  const parsed = parseWords(name, plain, specs);
  refuseUnknown(name, verb, specs, parsed);
  refuseNumbers(name, verb, parsed);
  const positionals = [...parsed._.map(String), ...((!verb.passesArgs && after) || [])];
  checkPositionals(name, verb, positionals);
  const given = (option: string): string[] => [parsed[option] ?? []].flat().map(String);
  for (const [option, spec] of Object.entries(specs)) {
    if (spec.value === undefined || spec.many) continue;
    if (given(option).length > 1) throw usageError(name, `--${option} is given more than once`);
    // A variable of the shell that is not set: --policy="$FILE".
    if (given(option).includes('') && !spec.optional) throw usageError(name, `--${option} needs a value`);
  }
  return {
    positionals,
    programArgs: verb.passesArgs ? after : null,
    has: (option) => given(option).includes('true'),
    value: (option) => given(option)[0],
    values: given,
  };
}

type Parsed = Record<string, unknown> & { readonly _: readonly (string | number)[] };

function parseWords(
  name: string,
  words: readonly string[],
  specs: Readonly<Record<string, OptionSpec>>,
): Parsed {
  const entries = Object.entries(specs);
  const named = (wanted: (spec: OptionSpec) => boolean): string[] =>
    entries.flatMap(([option, spec]) => (wanted(spec) ? [option] : []));
  const takesValue = named(({ value }) => value !== undefined);
  const { argv, error } = Parser.detailed([...words], {
    alias: Object.fromEntries(
      entries.map(([option, { short, also }]) => [
        option,
        [...(short === undefined ? [] : [short]), ...(also ?? [])],
      ]),
    ),
    boolean: named(({ value }) => value === undefined),
    string: takesValue,
    array: named(({ many }) => many === true),
    narg: Object.fromEntries(takesValue.map((option) => [option, 1])),
    configuration: {
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'strip-aliased': true,
    },
  });
  if (!error) return argv;
  const lacking = /^Not enough arguments following: (.+)$/.exec(error.message)?.[1];
  throw usageError(name, lacking === undefined ? error.message : `${dashed(lacking)} needs a value`);
}

/** `-m64Mi` as `-m 64Mi`: what docker takes, and yargs would read as four options. */
function splitShortValues(words: readonly string[], specs: Readonly<Record<string, OptionSpec>>): string[] {
  const letters = new Set(
    Object.values(specs).flatMap(({ short, value }) => (short && value !== undefined ? [short] : [])),
  );
  return words.flatMap((word) =>
    /^-[A-Za-z][^=]/.test(word) && letters.has(word.charAt(1)) ? [word.slice(0, 2), word.slice(2)] : [word],
  );
}

/** `--data -` as `--data=-`: yargs takes a dash for an option. */
function joinDashes(
  words: readonly string[],
  specs: Readonly<Record<string, OptionSpec>>,
): readonly string[] {
  const takesDash = (word = ''): boolean =>
    word.startsWith('--') &&
    Object.hasOwn(specs, word.slice(2)) &&
    specs[word.slice(2)]?.value !== undefined &&
    !specs[word.slice(2)]?.optional;
  return words.flatMap((word, at) => {
    if (word === '-' && takesDash(words[at - 1])) return [];
    return takesDash(word) && words[at + 1] === '-' ? [`${word}=-`] : [word];
  });
}

/** `--update base` as `--update=base`, and `--update` before anything else as `--update=all`. */
function fillOptionalWords(
  words: readonly string[],
  specs: Readonly<Record<string, OptionSpec>>,
): readonly string[] {
  const wordsOf = (word: string): readonly string[] | undefined =>
    word.startsWith('--') && Object.hasOwn(specs, word.slice(2)) ? specs[word.slice(2)]?.words : undefined;
  return words.flatMap((word, at) => {
    const given = wordsOf(word);
    const next = words[at + 1];
    if (given) return [`${word}=${next !== undefined && given.includes(next) ? next : 'all'}`];
    return wordsOf(words[at - 1] ?? '')?.includes(word) ? [] : [word];
  });
}

/** `--json=true` as `--json`, and `--json=false` as nothing, as the flags of docker and kubectl. */
function plainSwitches(
  name: string,
  words: readonly string[],
  specs: Readonly<Record<string, OptionSpec>>,
): string[] {
  return words.flatMap((word) => {
    const [, option = '', value] = /^--([^=]+)=(.*)$/s.exec(word) ?? [];
    if (!Object.hasOwn(specs, option) || specs[option]?.value !== undefined) return [word];
    if (value !== 'true' && value !== 'false') {
      throw usageError(
        name,
        `--${option} is a switch, and ${JSON.stringify(value)} is neither true nor false`,
      );
    }
    return value === 'true' ? [`--${option}`] : [];
  });
}

/** `--receipt` as `--receipt=`: its value is never the next word. */
function emptyOptionals(
  words: readonly string[],
  specs: Readonly<Record<string, OptionSpec>>,
): readonly string[] {
  return words.map((word) => {
    const option = word.slice('--'.length);
    return word.startsWith('--') && Object.hasOwn(specs, option) && specs[option]?.optional
      ? `${word}=`
      : word;
  });
}

function refuseUnknown(
  name: string,
  verb: Parsable,
  specs: Readonly<Record<string, OptionSpec>>,
  parsed: Parsed,
): void {
  const known = Object.entries(specs).flatMap(([option, { short, also }]) => [
    option,
    short,
    ...(also ?? []),
  ]);
  for (const option of Object.keys(parsed)) {
    if (option === '_' || option === '$0' || option === '--') continue;
    const refusal = verb.refuse?.(option, parsed[option]);
    if (refusal) throw refusal;
    if (known.includes(option)) continue;
    const meant = nearest(
      option,
      Object.keys(specs).filter((key) => !specs[key]?.hidden),
    );
    throw usageError(
      name,
      `there is no option ${dashed(option)}`,
      option.length > 1 && meant !== undefined ? `did you mean --${meant}?` : undefined,
    );
  }
}

/** `-9` is an option that nobody has, and to yargs a number. */
function refuseNumbers(name: string, verb: Parsable, parsed: Parsed): void {
  const number = parsed._.map(String).find((word) => /^-[0-9.]/.test(word));
  if (number === undefined) return;
  throw verb.refuse?.(number.slice(1), true) ?? usageError(name, `there is no option ${number}`);
}

/**
 * For a verb that needs a file where docker takes a pipe.
 * @throws SjsError `USAGE` for `-`.
 */
export function refuseStream(file: string, how: string): void {
  if (file !== '-') return;
  throw new SjsError('USAGE', `an export cannot be ${how} a pipe`, {
    next: 'name a file; one that is called - is ./-',
  });
}

function checkPositionals(name: string, verb: Parsable, positionals: readonly string[]): void {
  const [least, most] = verb.positionals;
  if (positionals.length < least) {
    const missing = verb.usage.match(/<[^>]*>/g)?.[positionals.length];
    throw usageError(name, `${missing ?? 'a value'} is missing: sjs ${name} ${verb.usage}`);
  }
  if (positionals.length <= most) return;
  const extra = positionals.slice(most).join(' ');
  throw verb.passesArgs
    ? usageError(
        name,
        `${JSON.stringify(extra)} was not expected`,
        `arguments for the program come after --: sjs ${name} ${positionals[0] ?? '<target>'} -- ${extra}`,
      )
    : usageError(name, `${JSON.stringify(extra)} was not expected: ${`sjs ${name} ${verb.usage}`.trim()}`);
}

const dashed = (option: string): string => `${option.length === 1 ? '-' : '--'}${option}`;

function usageError(name: string, message: string, next = `sjs ${name} --help shows how`): SjsError {
  return new SjsError('USAGE', message, { next });
}
