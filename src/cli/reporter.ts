import type { Reporter } from '../index.js';
import type { Output } from './output.js';
import { cleanLine } from './terminal.js';

/**
 * Says on stderr what is being done: one line a step, and on a terminal how long the step takes while it is waited for.
 * `--quiet` leaves out the steps, never the warnings; `--verbose` adds detail.
 */
export function createReporter(output: Output): Reporter {
  const { err } = output;
  return {
    step: (stage, message) => {
      output.note(`${err.cyan(stage.padEnd(7))} ${cleanLine(message)}`);
      output.beginWait();
    },
    done: () => output.endWait(),
    warn: (message) => output.say(`${err.yellow('warning')} ${cleanLine(message)}`),
    debug: (message) => {
      if (output.verbose) output.say(err.dim(cleanLine(message)));
    },
  };
}
