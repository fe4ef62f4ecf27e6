import { formatDuration, SjsError, type RunRecord } from '../../index.js';
import { formatRelativeTime } from '../relative-time.js';
import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';

/** As many as fit a screen. */
const SHOWN = 25;

/** A beginning of an id that is long enough to name it: the time to a millisecond and some of the chance. */
const SHORT_ID = 16;

/** `sjs runs`. */
export const runsVerb: Verb = {
  examples: [
    ['sjs runs', 'the newest runs'],
    ['sjs runs -n 1 -q', 'the id of the newest run alone'],
    ['sjs runs --json | jq ".[].state"', 'records for a script'],
  ],
  usage: '',
  positionals: [0, 0],
  options: {
    last: { short: 'n', value: 'N', describe: `how many, newest first; ${SHOWN} when not given` },
    quiet: { short: 'q', describe: 'ids only' },
    'no-trunc': { describe: 'whole ids and tags' },
  },
  async run(input, { sjs, output }) {
    const limit = parseLimit(input.value('last'));
    const records = await sjs.listRuns({
      limit,
      onInvalid: (path) => output.say(`${output.err.yellow('warning')} ${path} is not a readable record`),
    });
    if (output.json) await output.printJson(records);
    else if (output.quiet) for (const { id } of records) await output.print(id);
    else await output.print(await formatRuns(records, input.has('no-trunc'), Date.now()));
    return 0;
  },
};

function parseLimit(text: string | undefined): number {
  if (text === undefined) return SHOWN;
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new SjsError('USAGE', `--last ${JSON.stringify(text)} is not a number above zero`);
}

/** The table of runs. */
export function formatRuns(records: readonly RunRecord[], whole: boolean, now: number): Promise<string> {
  return formatTable(
    ['run id', 'tag', 'state', 'exit', 'duration', 'created'],
    records.map((record) => [
      whole ? record.id : record.id.slice(0, SHORT_ID),
      whole ? record.tag : shorten(record.tag),
      record.state,
      record.exitCode === null ? '-' : String(record.exitCode),
      record.durationMs === null ? '-' : formatDuration(Math.round(record.durationMs)),
      formatRelativeTime(record.createdAt, now),
    ]),
  );
}

const shorten = (tag: string): string => (tag.length > 48 ? `${tag.slice(0, 47)}…` : tag);
