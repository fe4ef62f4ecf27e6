import { forEachTarget } from '../each-target.js';
import { exitCodeOfRun } from '../exit-codes.js';
import { withRun } from '../find-run.js';
import type { Verb } from '../verb.js';

/** `sjs wait`: as docker wait. */
export const waitVerb: Verb = {
  examples: [
    ['sjs wait 01K5ZQ8V', 'until it is over; prints the exit status that sjs run has for it'],
    ['exit $(sjs wait 01K5ZQ8V)', 'and exits with it'],
    ['sjs wait --json 01K5ZQ8V | jq -r ".runs[].state"', 'how it ended, for a script'],
  ],
  usage: '<run…>',
  positionals: [1, Infinity],
  notes: 'The exit status of sjs wait itself is 0 when it could wait, whatever the run came to.',
  async run(input, context) {
    const { sjs, output, tapSignals } = context;
    const { abort } = tapSignals().signals;
    const { done, errors, status } = await forEachTarget(
      'wait',
      input.positionals,
      context,
      async (target) => {
        const record = await withRun('wait', target, sjs, (id) => sjs.waitRun(id, { signal: abort }));
        const exitStatus = exitCodeOfRun(record, null);
        await output.print(String(exitStatus));
        return { ...record, exitStatus };
      },
    );
    if (output.json) await output.printJson({ runs: done, errors });
    return status;
  },
};
