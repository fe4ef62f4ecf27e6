import { formatDuration, type RunRecord } from '../../index.js';
import { FORMAT_OPTION, printList } from '../format.js';
import { formatRelativeTime } from '../relative-time.js';
import { FILTER_OPTIONS, parseCount, readFilters, SHORT_ID } from '../run-list.js';
import { formatTable } from '../table.js';
import { cleanLine } from '../terminal.js';
import type { CliContext, Verb, VerbInput } from '../verb.js';

/** As many as fit a screen. */
const SHOWN = 25;

/** `sjs runs`. */
export const runsVerb: Verb = {
  examples: [
    ['sjs runs', 'the newest runs'],
    ['sjs runs --name my-job --state failed --since 2h', 'what failed in the last two hours'],
    ['sjs runs --format "{{.id}} {{.state}} {{.exitCode}}"', 'for a script; --json has whole records'],
  ],
  usage: '',
  positionals: [0, 0],
  options: {
    last: { short: 'n', value: 'N', describe: `how many, newest first; ${SHOWN} when not given` },
    ...FILTER_OPTIONS,
    ...FORMAT_OPTION,
    quiet: { short: 'q', describe: 'ids only' },
    'no-trunc': { describe: 'whole ids and tags' },
  },
  async run(input, context) {
    const records = await context.sjs.listRuns({
      limit: parseCount('last', input.value('last') ?? String(SHOWN)),
      where: readFilters(input, Date.now()),
      onInvalid: warnOfInvalid(context),
    });
    await printRuns(records, input, context, formatRuns);
    return 0;
  },
};

/** Says of a file among the records that it is none. */
export const warnOfInvalid =
  ({ output }: CliContext) =>
  (path: string): void =>
    output.say(`${output.err.yellow('warning')} ${path} is not a readable record`);

/** How the table is laid out. */
export interface RunTableOptions {
  /** Whole ids and tags. */
  readonly whole: boolean;
  /** Columns of the terminal; undefined: as wide as it gets. */
  readonly width: number | undefined;
  readonly now: number;
}

/** Prints runs as the options of a list say. */
export async function printRuns(
  records: readonly RunRecord[],
  input: VerbInput,
  context: CliContext,
  format: (records: readonly RunRecord[], options: RunTableOptions) => Promise<string>,
): Promise<void> {
  const { output } = context;
  if (input.has('quiet') && !output.json && input.value('format') === undefined) {
    for (const { id } of records) await output.print(id);
    return;
  }
  const whole = input.has('no-trunc');
  const width = whole ? undefined : output.stdout.columns;
  await printList(records, FIELDS, input, context, () => format(records, { whole, width, now: Date.now() }));
}

const FIELDS: readonly (keyof RunRecord)[] = [
  'id',
  'tag',
  'seal',
  'state',
  'exitCode',
  'signal',
  'oomKilled',
  'createdAt',
  'startedAt',
  'finishedAt',
  'durationMs',
  'args',
  'env',
  'stdin',
  'stdout',
  'stderr',
  'artifacts',
  'limits',
  'usage',
  'network',
  'engine',
  'replayOf',
  'importedSeal',
  'imported',
  'call',
  'error',
];

/** The table of runs. */
function formatRuns(records: readonly RunRecord[], { whole, width, now }: RunTableOptions): Promise<string> {
  return formatTable(
    ['run id', 'tag', 'state', 'exit', 'duration', 'created'],
    records.map((record) => [
      whole ? record.id : record.id.slice(0, SHORT_ID),
      describeProgram(record, whole),
      record.state,
      record.exitCode === null ? '-' : String(record.exitCode),
      record.durationMs === null ? '-' : formatDuration(Math.round(record.durationMs)),
      describeCreated(record, now),
    ]),
    { width, flexible: [1] },
  );
}

/** When a run was made; by whose word, when its record came from elsewhere. */
export const describeCreated = ({ createdAt, imported }: RunRecord, now: number): string =>
  `${formatRelativeTime(createdAt, now)}${imported ? ', imported' : ''}`;

/** What ran: a sealed image; or one of its functions, which was called. */
export const describeProgram = ({ tag, call }: RunRecord, whole: boolean): string =>
  `${whole ? tag : shorten(tag)}${call ? ` ${cleanLine(call.export)}()` : ''}`;

/** A tag that leaves room for the other columns. */
export const shorten = (tag: string): string => (tag.length > 48 ? `${tag.slice(0, 47)}…` : tag);
