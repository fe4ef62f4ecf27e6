import { formatPolicy } from '../policy-view.js';
import type { Verb } from '../verb.js';

/** `sjs policy show`: what holds after all layers. */
export const policyShowVerb: Verb = {
  examples: [
    ['sjs policy show', "the machine's policy and yours: what every run obeys"],
    ['sjs policy show my-job', 'with the policy of the repository around a folder: what its builds obey'],
  ],
  usage: '[dir]',
  positionals: [0, 1],
  async run(input, { sjs, output }) {
    const explanation = await sjs.explainPolicy(input.positionals[0]);
    if (output.json) await output.printJson(explanation);
    else await output.print(await formatPolicy(explanation));
    return 0;
  },
};
