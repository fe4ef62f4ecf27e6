import { formatOrigins } from '../policy-view.js';
import type { Verb } from '../verb.js';

/** `sjs policy explain`: which line each value comes from. */
export const policyExplainVerb: Verb = {
  examples: [
    ['sjs policy explain', 'each value in force, with the file and line that states it'],
    ['sjs policy explain my-job', 'with the policy of the repository around a folder'],
  ],
  usage: '[dir]',
  positionals: [0, 1],
  async run(input, { sjs, output }) {
    const explanation = await sjs.explainPolicy(input.positionals[0]);
    if (output.json) await output.printJson(explanation);
    else await output.print(await formatOrigins(explanation));
    return 0;
  },
};
