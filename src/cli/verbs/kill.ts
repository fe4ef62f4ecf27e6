import { SjsError } from '../../index.js';
import { forEachTarget } from '../each-target.js';
import { withRun } from '../find-run.js';
import type { Verb } from '../verb.js';

/** What a sandbox passes on. */
const SIGNALS = ['KILL', 'TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2'];

/** `sjs kill`: as docker kill. */
export const killVerb: Verb = {
  examples: [
    ['sjs kill 01K5ZQ8V', 'at once; the record says killed'],
    ['sjs kill -s USR1 01K5ZQ8V', 'another signal, for the program'],
  ],
  usage: '<run…>',
  positionals: [1, Infinity],
  options: {
    signal: { short: 's', value: 'SIGNAL', describe: `${SIGNALS.join(', ')}; KILL when not given` },
  },
  notes: `KILL, USR1 and USR2 do as they say. The others ask for the end: the program is killed two seconds later, and the
record says interrupted. sjs stop gives it more time.`,
  refuse: (option) =>
    /^[0-9]/.test(option)
      ? new SjsError('USAGE', `there is no option -${option}`, { next: `write -s ${option}` })
      : null,
  async run(input, context) {
    const { sjs, output } = context;
    const signal = parseSignal(input.value('signal') ?? 'KILL');
    const { done, errors, status } = await forEachTarget(
      'kill',
      input.positionals,
      context,
      async (target) => {
        const record = await withRun('kill', target, sjs, (id) => sjs.killRun(id, signal));
        await output.print(record.id);
        return record;
      },
    );
    if (output.json) await output.printJson({ killed: done, errors });
    return status;
  },
};

function parseSignal(text: string): NodeJS.Signals {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const byNumber: Readonly<Record<string, string>> = {
    1: 'HUP',
    2: 'INT',
    3: 'QUIT',
    9: 'KILL',
    10: 'USR1',
    12: 'USR2',
    15: 'TERM',
  };
  const known = byNumber[name] ?? name;
  if (SIGNALS.includes(known)) return `SIG${known}` as NodeJS.Signals;
  throw new SjsError('USAGE', `--signal ${JSON.stringify(text)} is not one that a sandbox passes on`, {
    next: `choose from ${SIGNALS.join(', ')}`,
  });
}
