import { startsRuntime, type Language } from './language.js';
import { PYTHON_START } from './own-files.js';

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
      const end = words.indexOf(PYTHON_START);
      return end < 0 ? { author: entrypoint, options: [] } : cut(end, end + 1);
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
