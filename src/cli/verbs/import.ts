import { refuseStream } from '../parse-args.js';
import type { Verb } from '../verb.js';

/** `sjs import`. */
export const importVerb: Verb = {
  examples: [
    ['sjs import job.tar', 'what was sealed in this SJS_HOME, back into an engine'],
    [
      'sjs import --trust sha256:3f9a0c1b2d4e… job.tar && sjs replay 01K5ZQ8V',
      'what was sealed elsewhere: you have compared all of the seal',
    ],
  ],
  usage: '<file>',
  positionals: [1, 1],
  options: {
    trust: { value: 'SEAL', describe: 'the whole seal of an image that you vouch for' },
  },
  notes: `Without --trust, a seal that was not made here is refused, and the refusal says what it is. What is trusted so runs by
its tag or seal, never by its name, and the records of its runs say that it came from elsewhere. No seal covers those: what
comes in is replayed by its id, never by the tag. A gateway that the image needs is built here, over the base that the
policy states. While the policy denies digests, the base of what comes in is verified as a build would.`,
  async run(input, { sjs, output, tapSignals }) {
    const trust = input.value('trust');
    const [file = ''] = input.positionals;
    refuseStream(file, 'read from');
    const result = await sjs.importImage(file, {
      ...(trust !== undefined && { trust }),
      signal: tapSignals().signals.abort,
    });
    if (output.json) await output.printJson(result);
    await output.print(result.tag);
    for (const id of result.runs) output.note(`run ${id}`);
    return 0;
  },
};
