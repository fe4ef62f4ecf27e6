import { nearest, SjsError } from '../index.js';
import { VERBS } from './verb-table.js';
import { GLOBAL_OPTIONS } from './verb.js';

/** Which verb is meant, and what is left for it to parse. */
export interface Selection {
  /** Null: none was given. */
  readonly verb: string | null;
  /** A word that begins several verbs, given alone: `base`, `policy`. */
  readonly group: string | null;
  readonly rest: readonly string[];
}

/**
 * Finds the verb behind options of every verb (`sjs --json runs`), which stay in `rest`.
 * @throws SjsError `USAGE` for a verb that does not exist, with the one that was probably meant.
 */
export function selectVerb(argv: readonly string[]): Selection {
  let at = 0;
  while (at < argv.length && argv[at]?.startsWith('-') && argv[at] !== '--') {
    // An option that takes its value from the next word.
    at += GLOBAL_OPTIONS[(argv[at] ?? '').replace(/^--/, '')]?.value === undefined ? 1 : 2;
  }
  const [word, second] = [argv[at], argv[at + 1]];
  if (word === undefined || word === '--') return { verb: null, group: null, rest: argv };
  const without = (count: number): string[] => [...argv.slice(0, at), ...argv.slice(at + count)];
  // As git, npm, docker and kubectl have it.
  if (word === 'help') return selectVerb([...without(1).filter((other) => other !== '--help'), '--help']);
  // A verb of two words before one of its first alone: `receipt verify`, `receipt`.
  const both = `${word} ${second}`;
  if (Object.hasOwn(VERBS, both)) return { verb: both, group: null, rest: without(2) };
  if (Object.hasOwn(VERBS, word)) return { verb: word, group: null, rest: without(1) };
  const members = Object.keys(VERBS).filter((name) => name.startsWith(`${word} `));
  if (members.length === 0) throw unknownVerb(word, Object.keys(VERBS));
  if (second === undefined || second.startsWith('-')) return { verb: null, group: word, rest: without(1) };
  throw unknownVerb(both, members);
}

/** What docker and other tools call what a verb here does. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ls: 'images` or `sjs runs',
  list: 'images` or `sjs runs',
  create: 'build',
  exec: 'run',
  history: 'runs',
  info: 'doctor',
  lint: 'validate',
  rmi: 'rm',
  sign: 'push --sign',
  start: 'run',
  top: 'stats',
};

function unknownVerb(word: string, candidates: readonly string[]): SjsError {
  const meant = Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : nearest(word, candidates);
  const all = candidates.length > 9 ? 'sjs --help lists the verbs' : `choose from ${candidates.join(', ')}`;
  return new SjsError('USAGE', `there is no verb ${JSON.stringify(word)}`, {
    next: meant === undefined ? all : `did you mean \`sjs ${meant}\`?`,
  });
}
