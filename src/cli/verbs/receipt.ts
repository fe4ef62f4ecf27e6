import { suggestRun } from '../find-run.js';
import { refuseStream } from '../parse-args.js';
import { KEY_OPTION } from '../receipt-options.js';
import type { Verb } from '../verb.js';

/** `sjs receipt`: what is signed is on stdout, or in the file. */
export const receiptVerb: Verb = {
  examples: [
    ['sjs receipt 01K5ZQ8V --key cosign.key --out receipt.json', 'sign what that run did'],
    ['sjs receipt 01K5ZQ8V > receipt.json', 'the receipt that is kept; keyless, where there is none'],
    ['sjs receipt 01K5ZQ8V --key hashivault://jobs', 'sign with a key that never leaves its service'],
  ],
  usage: '<run>',
  positionals: [1, 1],
  options: {
    key: KEY_OPTION,
    out: { short: 'o', value: 'FILE', describe: 'write it to a file instead of stdout' },
  },
  notes: `A receipt is an in-toto statement about one finished run, in a Sigstore bundle: the seal, arguments, environment (of
secrets the names), input, output and artifacts by digest, limits, network, engine, times and outcome. It is kept beside the
record. With --key it is signed anew, and takes the place of one that is kept. The password of a key file is in
COSIGN_PASSWORD. A run that was imported has none: ask whoever ran it.`,
  async run(input, { sjs, output, tapSignals }) {
    const [target = ''] = input.positionals;
    const [key, file] = [input.value('key'), input.value('out')];
    if (file !== undefined) refuseStream(file, 'written to');
    const made = await suggestRun(target, sjs, () =>
      sjs.makeReceipt(target, {
        ...(key !== undefined && { key }),
        ...(file !== undefined && { file }),
        signal: tapSignals().signals.abort,
      }),
    );
    const { run, digest, text } = made;
    if (output.json) {
      await output.printJson({ run, digest, file: made.file, bundle: JSON.parse(text) as object });
    }
    await output.print(made.file === null ? text.trimEnd() : (file ?? ''));
    output.note(`receipt ${digest} of run ${run}`);
    return 0;
  },
};
