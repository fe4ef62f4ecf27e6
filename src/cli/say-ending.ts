import type { PublishedPort, RunRecord } from '../index.js';
import { RUN_EXIT } from './exit-codes.js';
import { describeBlocked, describeEnding } from './run-ending.js';
import type { RunSinks } from './run-streams.js';
import type { CliContext } from './verb.js';

/** Where a published port of a run leads. */
export const describePort = ({ hostAddress, hostPort, containerPort }: PublishedPort): string =>
  `${hostAddress}:${hostPort} leads to port ${containerPort} of the sandbox`;

/** Says why the exit status is not the program's own, and what it was kept from reaching. */
export function sayEnding(record: RunRecord, received: string | null, { output }: CliContext): void {
  const ending = describeEnding(record, received);
  for (const line of [ending, describeBlocked(record)]) if (line !== null) output.say(`sjs: ${line}`);
}

/** The program is dead and the record is closed; what is left to say is why. */
export function reportClosedOutput(sinks: RunSinks, { output }: CliContext): number {
  const failure = sinks.failure();
  const closed = failure?.code === 'EPIPE';
  output.say(
    `sjs: the run was ended: ${closed ? 'nobody reads its output any more' : (failure?.message ?? '')}`,
  );
  return closed ? RUN_EXIT.outputClosed : RUN_EXIT.failed;
}
