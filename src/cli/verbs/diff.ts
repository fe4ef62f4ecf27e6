import type { ImageDiff } from '../../index.js';
import type { Colors } from '../output.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs diff`: what two sealed images have otherwise. */
export const diffVerb: Verb = {
  examples: [
    ['sjs diff my-job:1.0.0-3f9a0c1b2d4e my-job', 'an older seal and the newest one of that name'],
    ['sjs diff --json a b | jq ".rights[] | select(.widened)"', 'wider rights, for a review'],
  ],
  usage: '<tag|seal|name> <tag|seal|name>',
  positionals: [2, 2],
  notes: 'Exit status: 0 the same, 1 different, 2 or more when they could not be compared.',
  async run(input, { sjs, output, tapSignals }) {
    const [from = '', to = ''] = input.positionals;
    const diff = await sjs.diffImages(from, to, { signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(diff);
    else await output.print(formatDiff(diff, output.out));
    return diff.isSame ? 0 : 1;
  },
};

/** The differences for people: what widened comes first, and stands out in words and colour. */
export function formatDiff(diff: ImageDiff, colors: Colors): string {
  const { from, to } = diff;
  if (diff.isSame) return `the same seal: ${from.seal}`;
  const lines = [`${colors.red('---')} ${from.tag}`, `${colors.green('+++')} ${to.tag}`];
  const rights = [...diff.rights].sort((a, b) => Number(b.widened) - Number(a.widened));
  const section = (title: string, rows: readonly string[]): void => {
    if (rows.length > 0) lines.push(colors.bold(title), ...rows.map((row) => `  ${row}`));
  };
  section(
    'rights and limits',
    rights.map(({ right, widened, ...change }) => {
      const text = `${cleanLine(right)}: ${show(change.from)} -> ${show(change.to)}`;
      return widened ? colors.red(`WIDENED ${text}`) : text;
    }),
  );
  const changes = (list: ImageDiff['base']): string[] =>
    list.map(({ what, ...change }) => `${cleanLine(what)}: ${show(change.from)} -> ${show(change.to)}`);
  section('base', changes(diff.base));
  section('program', changes(diff.program));
  section('environment', changes(diff.env));
  const additions = (list: ImageDiff['base']): string[] =>
    list.map((change) => {
      const what = cleanLine(change.what);
      if (change.from === null) return colors.green(`+ ${what}`);
      if (change.to === null) return colors.red(`- ${what}`);
      return `~ ${what} (${show(change.from)} -> ${show(change.to)})`;
    });
  section('packages', additions(diff.packages));
  section('files', additions(diff.files));
  section('image', changes(diff.image));
  return lines.join('\n');
}

/** A digest by its first twelve digits; anything else as it is. */
function show(value: unknown): string {
  if (value === null) return 'none';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return cleanLine(text.replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1'));
}
