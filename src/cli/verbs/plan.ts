import { formatChanges, formatPlan } from '../plan-view.js';
import type { Verb } from '../verb.js';
import { ALL_OPTION, forAllSandboxes } from '../each-sandbox.js';
import { LOCK_OPTIONS, readLockOptions } from './build.js';

/** `sjs plan`: what build and run would do. */
export const planVerb: Verb = {
  examples: [
    ['sjs plan', 'the sandbox.yaml of this folder'],
    ['sjs plan my-job --update', 'what choosing the base anew would change'],
    ['sjs plan --all', 'what would change in every sandbox below this folder, and nothing else'],
    [
      'sjs plan --json | jq ".rightChanges[] | select(.widened)"',
      'wider rights than sealed last time, for a review',
    ],
  ],
  usage: '[path]',
  positionals: [0, 1],
  options: { ...ALL_OPTION, ...LOCK_OPTIONS },
  async run(input, context) {
    const { sjs, output, tapSignals } = context;
    const [path = '.'] = input.positionals;
    const options = { ...readLockOptions(input), signal: tapSignals().signals.abort };
    if (input.has('all')) {
      const batch = sjs.createBatch();
      const describe = (file: string) => sjs.plan(file, { ...options, batch });
      return forAllSandboxes('plan', path, context, describe, async (one, name) => {
        const { text, what } = formatChanges(name, one, output.out);
        if (text !== '') await output.print(`${text}\n`);
        return { what, ...(one.comparedWith !== null && { tag: one.comparedWith }) };
      });
    }
    const plan = await sjs.plan(path, options);
    if (output.json) await output.printJson(plan);
    else await output.print(formatPlan(plan, output.out));
    return 0;
  },
};
