import { formatBytes, formatDuration, type RunRecord } from '../index.js';
import { exitCodeOfSignal } from './exit-codes.js';

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
