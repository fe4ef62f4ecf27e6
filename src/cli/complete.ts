import type { Sjs } from '../index.js';
import { VERBS } from './verb-table.js';
import { GLOBAL_OPTIONS, type Verb } from './verb.js';

/** More ids than anybody reads. */
const MOST_RUNS = 200;

/**
 * What can stand at the end of a line: verbs, options, tags and names, ids of runs. Answered from SJS_HOME alone, without
 * the engine.
 */
export async function complete(
  line: string,
  sjs: Pick<Sjs, 'listEntries' | 'listRecords'>,
): Promise<string[]> {
  const words = line.trimStart().split(/ +/).slice(1);
  const word = words.pop() ?? '';
  // What follows is the program's.
  if (words.includes('--')) return [];
  const candidates = await candidatesFor(words, word, sjs);
  return [...new Set(candidates)].filter((candidate) => candidate.startsWith(word)).sort();
}

async function candidatesFor(
  words: readonly string[],
  word: string,
  sjs: Pick<Sjs, 'listEntries' | 'listRecords'>,
): Promise<readonly string[]> {
  const [first, second] = words.filter((one) => !one.startsWith('-'));
  const name = [`${first} ${second}`, first ?? ''].find((one) => Object.hasOwn(VERBS, one));
  if (name === undefined) {
    return Object.keys(VERBS).flatMap((verb) => {
      const [group, member] = verb.split(' ');
      if (first === undefined) return [group ?? ''];
      return group === first && member !== undefined ? [member] : [];
    });
  }
  const verb = await VERBS[name]?.load();
  if (!verb) return [];
  if (word.startsWith('-')) return optionsOf(verb);
  return targetsOf(verb.usage, sjs);
}

const optionsOf = (verb: Verb): string[] =>
  Object.entries({ ...GLOBAL_OPTIONS, ...verb.options }).flatMap(([option, { also = [], hidden }]) =>
    hidden ? [] : [option, ...also].map((one) => `--${one}`),
  );

/** By the words of its usage: what is a path is left to the shell. */
async function targetsOf(
  usage: string,
  sjs: Pick<Sjs, 'listEntries' | 'listRecords'>,
): Promise<readonly string[]> {
  const choices = /^<((?:bash|sandbox)\|[a-z|]+)>$/.exec(usage)?.[1];
  if (choices !== undefined) return choices.split('|');
  const [images, runs] = await Promise.all([
    /\b(?:tag|target)\b/.test(usage) ? sjs.listEntries() : [],
    /\brun\b/.test(usage) ? sjs.listRecords({ limit: MOST_RUNS }) : [],
  ]);
  return [
    ...images.flatMap(({ tag, name, imported }) => (imported ? [tag] : [tag, name])),
    ...runs.map(({ id }) => id),
  ];
}
