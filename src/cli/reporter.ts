import type { Reporter } from '../index.js';
import { currentSandbox } from './current-sandbox.js';
import type { Output } from './output.js';
import { cleanLine } from './terminal.js';

/**
 * Says on stderr what is being done: one line a step, and on a terminal how long the step takes while it is waited for.
 * `--quiet` leaves out the steps, never the warnings; `--verbose` adds detail.
 */
export function createReporter(output: Output): Reporter {
  const { err } = output;
  /** Several at once: each line says of which it speaks. */
  const who = (): string => {
    const name = currentSandbox();
    return name === undefined ? '' : `${cleanLine(name)}: `;
  };
  return {
    step: (stage, message) => {
      output.note(`${who()}${err.cyan(stage.padEnd(7))} ${cleanLine(message)}`);
      if (currentSandbox() === undefined) output.beginWait();
    },
    done: () => output.endWait(),
    warn: (message) => output.say(`${who()}${err.yellow('warning')} ${cleanLine(message)}`),
    debug: (message) => {
      if (output.verbose) output.say(`${who()}${err.dim(cleanLine(message))}`);
    },
  };
}
