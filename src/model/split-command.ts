import { callRunner, startsRuntime, type Language } from './language.js';
import { PYTHON_CALL, PYTHON_START } from './own-files.js';

/** What starts a program: the words of its author, and what sjs put among them. */
export interface SplitCommand {
  /** The command that was declared. */
  readonly author: readonly string[];
  /** The options that sjs gives the runtime; none for another program. */
  readonly options: readonly string[];
}

/** Takes apart what a sealed image starts: the inverse of what `stages/render` does for each language. */
export function splitCommand(entrypoint: readonly string[], language: Language = 'node'): SplitCommand {
  const [program = '', ...words] = entrypoint;
  if (!startsRuntime(language, entrypoint)) return { author: entrypoint, options: [] };
  const cut = (end: number, begin = end): SplitCommand => ({
    author: [program, ...words.slice(begin)],
    options: words.slice(0, end),
  });
  switch (language) {
    case 'node': {
      const end = words.indexOf('--');
      // A REPL has options alone, and no `--`.
      return end < 0 ? { author: entrypoint, options: words } : cut(end, end + 1);
    }
    case 'python': {
      const end = words.findIndex((word) => word === PYTHON_START || word === PYTHON_CALL);
      if (end < 0) return { author: entrypoint, options: [] };
      return words[end] === PYTHON_CALL ? cut(end) : cut(end, end + 1);
    }
    case 'deno':
    case 'bun': {
      const script = words.findIndex((word, at) => at > 0 && !word.startsWith('-'));
      if (words[0] !== 'run' || script < 0) return { author: entrypoint, options: [] };
      const { author, options } = cut(script);
      return {
        options,
        author: author.filter((word, at) => language !== 'bun' || at !== 2 || word !== '--'),
      };
    }
  }
}

/** What starts the runner of calls instead of the program, which it is told, with the same options; null for no runtime. */
export function callCommand(
  entrypoint: readonly string[],
  language: Language = 'node',
): readonly string[] | null {
  const { author, options } = splitCommand(entrypoint, language);
  const [program = '', script] = author;
  if (options.length === 0 || script === undefined) return null;
  const runner = callRunner(language);
  if (language === 'node') return [program, ...options, '--', runner, script];
  return [program, ...options, runner, ...(language === 'bun' ? ['--'] : []), script];
}
