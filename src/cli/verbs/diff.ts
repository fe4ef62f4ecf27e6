import { SjsError, type SandboxDiff } from '../../index.js';
import { formatDiff, markdownDiff } from '../change-view.js';
import { ALL_OPTION, doAll, type Task } from '../each-sandbox.js';
import type { CliContext, Verb } from '../verb.js';

/** `sjs diff`: what two sandboxes have otherwise. */
export const diffVerb: Verb = {
  examples: [
    ['sjs diff my-job:1.0.0-3f9a0c1b2d4e my-job', 'an older seal and the newest one of that name'],
    ['sjs diff my-job .', 'the newest seal, and what the files here would make of it'],
    ['sjs diff before/my-job my-job', 'two versions of the files; needs no engine and no registry'],
    ['sjs diff --all --format markdown before .', 'all of two checkouts, as a comment on a pull request'],
    ['sjs diff --json a b | jq ".rights[] | select(.widened)"', 'wider rights, for a review'],
  ],
  usage: '<tag|seal|name|path> <tag|seal|name|path>',
  positionals: [2, 2],
  options: {
    ...ALL_OPTION,
    all: { describe: 'every sandbox below two folders, those at the same place side by side' },
    format: { value: 'text|markdown', describe: 'markdown: for a comment on a pull request' },
  },
  notes:
    'Exit status: 0 the same, 1 different, 2 or more when they could not be compared.\n' +
    'Paths are compared by their sandbox.yaml and sandbox.lock: what these say, which only a build verifies. With --json\n' +
    'and --all each sandbox is a line.',
  async run(input, context) {
    const { sjs, output, tapSignals } = context;
    const [from = '', to = ''] = input.positionals;
    const isMarkdown = readFormat(input.value('format'));
    if (input.has('all')) return diffAll(from, to, isMarkdown, context);
    const diff = await sjs.diff(from, to, { signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(diff);
    else await output.print(isMarkdown ? markdownDiff(titleOf(diff), diff) : formatDiff(diff, output.out));
    return diff.isSame ? 0 : 1;
  },
};

function readFormat(format = 'text'): boolean {
  if (format === 'text' || format === 'markdown') return format === 'markdown';
  throw new SjsError('USAGE', `--format is text or markdown, not ${JSON.stringify(format)}`, {
    next: '--json prints JSON',
  });
}

const titleOf = ({ from, to }: SandboxDiff): string =>
  [from, to].map((side) => ('tag' in side ? side.tag : side.file)).join(' → ');

async function diffAll(from: string, to: string, isMarkdown: boolean, context: CliContext): Promise<number> {
  const { sjs, output, tapSignals } = context;
  const signal = tapSignals().signals.abort;
  const pairs = await sjs.pairSandboxes(from, to);
  if (pairs.length === 0) {
    throw new SjsError('FILE_NOT_FOUND', `there is no sandbox.yaml in ${from} or ${to}, or below them`, {
      next: 'sjs init writes one',
    });
  }
  let isSame = true;
  const tasks = pairs.map(({ path, ...sides }): Task<SandboxDiff> => {
    const what = sides.from === null ? 'new' : sides.to === null ? 'removed' : 'changed';
    return {
      name: path,
      act: () => sjs.diff(sides.from, sides.to, { signal }),
      tell: async (diff) => {
        if (output.json) await output.printJsonLine({ path, what: diff.isSame ? 'same' : what, ...diff });
        if (diff.isSame && what === 'changed') return { what: 'same' };
        isSame = false;
        const title = what === 'changed' ? path : `${path} (${what})`;
        const text = isMarkdown ? `${markdownDiff(title, diff)}\n` : `${formatDiff(diff, output.out)}\n`;
        await output.print(text);
        return { what: diff.isWidened ? `${what}, rights WIDENED` : what };
      },
      tellError: (document) => output.printJsonLine({ path, ...document }),
    };
  });
  const status = await doAll('diff', tasks, context, signal);
  if (isMarkdown && isSame && status === 0) await output.print('No sandbox changes.');
  return status || (isSame ? 0 : 1);
}
