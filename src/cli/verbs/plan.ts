import { formatPlan } from '../plan-view.js';
import type { Verb } from '../verb.js';
import { LOCK_OPTIONS, readLockOptions } from './build.js';

/** `sjs plan`: what build and run would do. */
export const planVerb: Verb = {
  examples: [
    ['sjs plan', 'the sandbox.yaml of this folder'],
    ['sjs plan my-job --update', 'what choosing the base anew would change'],
    [
      'sjs plan --json | jq ".rightChanges[] | select(.widened)"',
      'wider rights than sealed last time, for a review',
    ],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: LOCK_OPTIONS,
  async run(input, { sjs, output, tapSignals }) {
    const [path = '.'] = input.positionals;
    const plan = await sjs.plan(path, { ...readLockOptions(input), signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(plan);
    else await output.print(formatPlan(plan, output.out));
    return 0;
  },
};
