import type { RunRecord, UsageSample } from '../../index.js';
import { withRun } from '../find-run.js';
import { write } from '../output.js';
import { SHORT_ID } from '../run-list.js';
import { formatSize } from '../size.js';
import { formatTable } from '../table.js';
import type { CliContext, Verb } from '../verb.js';
import { shorten } from './runs.js';

/** `sjs stats`: what runs use just now, as docker stats. */
export const statsVerb: Verb = {
  examples: [
    ['sjs stats', 'all that run now, until they are over or Ctrl-C'],
    ['sjs stats --no-stream 01K5ZQ8V', 'one run, once'],
    ['sjs stats --json | jq -r .cpuPercent', 'each sample as a line of JSON'],
  ],
  usage: '[run…]',
  positionals: [0, Infinity],
  options: { 'no-stream': { describe: 'print one sample of each and end' } },
  notes: 'A sample takes a second or two: CPU is what was used between two of them, and 100 % is one CPU.',
  async run(input, context) {
    const { sjs, output } = context;
    const { abort } = context.tapSignals().signals;
    const runs =
      input.positionals.length === 0
        ? (await sjs.listRuns({ isOpen: true })).filter(({ state }) => state === 'running')
        : await Promise.all(
            input.positionals.map((target) => withRun('stats', target, sjs, (id) => sjs.findRun(id))),
          );
    const latest = new Map<string, UsageSample>();
    const screen = createScreen(context);
    const samples = runs.map(async (run) => {
      for await (const sample of sjs.watchUsage(run.id, { signal: abort })) {
        latest.set(run.id, sample);
        // The first one has no CPU: there is nothing to compare with.
        if (input.has('no-stream') && sample.cpuPercent === null) continue;
        if (output.json) await output.printJsonLine({ id: run.id, tag: run.tag, ...sample });
        if (input.has('no-stream')) return;
        // Once a round, not once a run.
        if (!output.json && isLastOf(run, runs, latest)) await screen(runs, latest);
      }
      if (!input.has('no-stream')) latest.delete(run.id);
    });
    await Promise.all(samples);
    if (!output.json && (input.has('no-stream') || runs.length === 0)) await screen(runs, latest);
    return 0;
  },
};

/** Whether no run behind it has samples: then a round is complete. */
const isLastOf = (
  run: RunRecord,
  runs: readonly RunRecord[],
  latest: ReadonlyMap<string, UsageSample>,
): boolean => runs.filter(({ id }) => latest.has(id)).at(-1)?.id === run.id;

type Show = (runs: readonly RunRecord[], latest: ReadonlyMap<string, UsageSample>) => Promise<void>;

/** A table that is drawn over on a terminal; elsewhere its lines follow each other under one header. */
function createScreen({ output }: CliContext): Show {
  let lines = 0;
  return async (runs, latest) => {
    const table = await formatTable(
      ['run id', 'tag', 'cpu', 'memory', 'limit', 'pids'],
      runs.flatMap((run) => {
        const sample = latest.get(run.id);
        return sample ? [formatRow(run, sample)] : [];
      }),
      { width: output.stdout.columns, flexible: [1] },
    );
    const [, ...rows] = table.split('\n');
    if (output.stdout.isTTY === true) {
      const up = lines > 0 ? `\x1b[${lines}A\x1b[J` : '';
      lines = rows.length + 1;
      await write(output.stdout, `${up}${table}\n`);
    } else {
      await output.print(lines === 0 ? table : rows.join('\n'));
      lines = 1;
    }
  };
}

const formatRow = (run: RunRecord, sample: UsageSample): string[] => [
  run.id.slice(0, SHORT_ID),
  shorten(run.tag),
  sample.cpuPercent === null ? '-' : `${sample.cpuPercent.toFixed(1)} %`,
  formatSize(sample.memoryBytes),
  formatSize(sample.memoryLimitBytes),
  String(sample.pids),
];
