import { errorDocument, formatError, toSjsError } from '../error-report.js';
import { exitCodeOf } from '../exit-codes.js';
import { findRunOrNull } from '../find-run.js';
import type { Verb } from '../verb.js';

/** `sjs rm`: as docker rm, one that fails does not keep the others. */
export const rmVerb: Verb = {
  examples: [
    ['sjs rm 01K5ZQ8V', 'the record of a run'],
    ['sjs rm sjs/my-job:1.0.0-3f9a0c1b2d4e', 'a sealed image; the records of its runs stay'],
  ],
  usage: '<run|tag…>',
  positionals: [1, Infinity],
  notes: 'What the removed runs wrote is freed by sjs prune.',
  async run(input, { sjs, output }) {
    const removed: Readonly<Record<string, string>>[] = [];
    const errors: unknown[] = [];
    let status = 0;
    for (const target of input.positionals) {
      try {
        const run = await findRunOrNull(target, sjs);
        const gone = run
          ? { run: (await sjs.removeRun(run.id)).id }
          : { tag: (await sjs.removeImage(target)).tag };
        removed.push(gone);
        await output.print(gone.run ?? gone.tag ?? target);
      } catch (thrown) {
        const error = toSjsError(thrown);
        if (input.positionals.length === 1) throw error;
        errors.push(errorDocument(error).error);
        output.say(
          formatError(error, { colors: output.err, verbose: output.verbose, directory: process.cwd() }),
        );
        status ||= exitCodeOf(error, 'rm');
      }
    }
    if (output.json) await output.printJson({ removed, errors });
    return status;
  },
};
