import { formatBytes, formatDuration, parseEgress, type RunRecord } from '../index.js';
import { exitCodeOfSignal } from './exit-codes.js';

const MOST_SHOWN = 5;

/**
 * The line that says what the program wanted to reach, and which declaration would have allowed it; null for nothing.
 * The names are the program's: what could not be declared is not proposed.
 */
export function describeBlocked({ network }: Pick<RunRecord, 'network'>): string | null {
  const wanted = network.connections.filter(
    ({ direction, verdict, reason, name }) =>
      direction === 'out' &&
      verdict === 'blocked' &&
      reason === 'not declared' &&
      parseEgress(`${name}:1`)?.address === null,
  );
  const withPort = new Set(wanted.flatMap(({ name, port }) => (port === null ? [] : [name])));
  // Of a name that could not be found nobody knows which port it was wanted for.
  const places = wanted
    .filter(({ name, port }) => port !== null || !withPort.has(name))
    .map(({ name, port }) => `${name}:${port ?? 'PORT'}`);
  const unique = [...new Set(places)];
  if (unique.length === 0) return null;
  const shown = unique.slice(0, MOST_SHOWN).map((place) => JSON.stringify(place));
  const more = unique.length > shown.length ? `, and ${unique.length - shown.length} more` : '';
  return `blocked, as not declared: network: { egress: [${shown.join(', ')}] } would have allowed it${more}`;
}

/** The line that says why a run's exit status is not its program's own; null when it is. */
export function describeEnding(
  record: Pick<RunRecord, 'state' | 'exitCode' | 'signal' | 'limits' | 'error'>,
  received: string | null,
): string | null {
  const { limits } = record;
  switch (record.state) {
    case 'succeeded':
      return null;
    case 'failed':
      if (record.exitCode === null && record.signal === null) return 'the run failed';
      if (record.signal === null) return null;
      return `the program was ended by ${record.signal} (exit ${record.exitCode ?? exitCodeOfSignal(record.signal)})`;
    case 'timed-out':
      return `timed out after ${formatDuration(limits.timeoutMs)}`;
    case 'out-of-memory':
      return `out of memory: the limit is ${formatBytes(limits.memoryBytes)}`;
    case 'output-limit':
      return `output limit of ${formatBytes(limits.outputBytes)} reached; what was written before is kept`;
    case 'killed':
      return 'the sandbox was killed from outside';
    case 'interrupted':
      return `interrupted${received === null ? '' : ` by ${received}`}`;
    case 'refused':
    case 'created':
    case 'running':
      return record.error?.message ?? `the run is ${record.state}`;
  }
}
