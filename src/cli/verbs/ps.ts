import type { RunRecord } from '../../index.js';
import { FORMAT_OPTION } from '../format.js';
import { formatRelativeTime } from '../relative-time.js';
import { FILTER_OPTIONS, parseCount, readFilters, SHORT_ID } from '../run-list.js';
import { formatTable } from '../table.js';
import type { Verb } from '../verb.js';
import { describeCreated, describeProgram, printRuns, warnOfInvalid, type RunTableOptions } from './runs.js';

/** `sjs ps`: what runs now, as docker ps. */
export const psVerb: Verb = {
  examples: [
    ['sjs ps', 'what runs now'],
    ['sjs ps -a -n 5', 'the five newest runs, over or not'],
    ['sjs stop $(sjs ps -q --name my-job)', 'ids alone, for another command'],
  ],
  usage: '',
  positionals: [0, 0],
  options: {
    all: { short: 'a', describe: 'runs that are over too; sjs runs shows more of those' },
    last: { short: 'n', value: 'N', describe: 'how many, newest first' },
    ...FILTER_OPTIONS,
    ...FORMAT_OPTION,
    quiet: { short: 'q', describe: 'ids only' },
    'no-trunc': { describe: 'whole ids, tags and arguments' },
  },
  async run(input, context) {
    const last = input.value('last');
    const isWanted = readFilters(input, Date.now());
    const records = await context.sjs.listRuns({
      ...(!input.has('all') && { isOpen: true }),
      where: isWanted,
      ...(last !== undefined && { limit: parseCount('last', last) }),
      onInvalid: warnOfInvalid(context),
    });
    await printRuns(records, input, context, formatProcesses);
    return 0;
  },
};

function formatProcesses(
  records: readonly RunRecord[],
  { whole, width, now }: RunTableOptions,
): Promise<string> {
  // Few sandboxes publish any: then the width is better spent on the rest.
  const hasPorts = records.some((record) => describePorts(record) !== '');
  return formatTable(
    ['run id', 'tag', 'arguments', 'created', 'status', ...(hasPorts ? ['ports'] : [])],
    records.map((record) => [
      whole ? record.id : record.id.slice(0, SHORT_ID),
      describeProgram(record, whole),
      whole ? record.args.join(' ') : cut(record.args.join(' '), 24),
      describeCreated(record, now),
      describeStatus(record, now),
      ...(hasPorts ? [describePorts(record)] : []),
    ]),
    { width, flexible: [1] },
  );
}

/** As docker writes them: `127.0.0.1:3000->3005`; nothing of a run that is over. */
const describePorts = ({ network, finishedAt }: RunRecord): string =>
  network.mode === 'none' || finishedAt !== null
    ? ''
    : network.ports
        .map(({ hostAddress, hostPort, containerPort }) => `${hostAddress}:${hostPort}->${containerPort}`)
        .join(', ');

const cut = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text;

/** In docker's words where they mean the same. */
function describeStatus(record: RunRecord, now: number): string {
  const { state, startedAt, finishedAt, exitCode } = record;
  if (finishedAt === null) {
    if (startedAt === null) return state;
    const since = formatRelativeTime(startedAt, now);
    return `up ${since === 'just now' ? 'less than a second' : since.replace(/ ago$/, '')}`;
  }
  return `${state}${exitCode === null ? '' : ` (${exitCode})`} ${formatRelativeTime(finishedAt, now)}`;
}
