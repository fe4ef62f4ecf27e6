import { parseAnswer, readAnswerText } from '../read-answer.js';
import { withRunOrImage } from '../find-run.js';
import type { Verb } from '../verb.js';

/** `sjs inspect`: JSON always. */
export const inspectVerb: Verb = {
  examples: [
    ['sjs inspect 01K5ZQ8V', 'the record of a run, by the beginning of its id'],
    ['sjs inspect my-job', 'the newest sealed image of that name'],
    ['sjs inspect my-job | jq .labels.plan', 'the rights sealed into it'],
  ],
  usage: '<run|tag|seal|name>',
  positionals: [1, 1],
  async run(input, { sjs, output }) {
    const target = input.positionals[0] ?? '';
    await output.printJson(
      await withRunOrImage(target, sjs, async (run) => {
        if (run === null) return sjs.inspectImage(target);
        const receipt = await sjs.findReceipt(run.id);
        const answer = await readAnswerText(run, sjs);
        return {
          ...run,
          ...(run.call && { call: { ...run.call, ...parseAnswer(run, answer) } }),
          ...(run.code && { code: { ...run.code, ...parseAnswer(run, answer) } }),
          ...(receipt && { receipt: receipt.digest }),
        };
      }),
    );
    return 0;
  },
};
