import type { RunRecord } from '../../index.js';
import { forEachTarget } from '../each-target.js';
import { withRunOrImage } from '../find-run.js';
import type { Verb } from '../verb.js';

/** `sjs rm`: as docker rm, one that fails does not keep the others. */
export const rmVerb: Verb = {
  examples: [
    ['sjs rm 01K5ZQ8V', 'the record of a run'],
    ['sjs rm sjs/my-job:1.0.0-3f9a0c1b2d4e', 'a sealed image; the records of its runs stay'],
    ['sjs rm -f $(sjs runs -q --state running)', 'runs that still go on: they are killed first'],
  ],
  usage: '<run|tag…>',
  positionals: [1, Infinity],
  options: { force: { short: 'f', describe: 'kill a run that still goes on' } },
  notes: 'What the removed runs wrote is freed by sjs prune.',
  async run(input, context) {
    const { sjs, output } = context;
    const remove = async (
      target: string,
      run: RunRecord | null,
    ): Promise<Readonly<Record<string, string>>> => {
      if (run?.finishedAt === null && input.has('force')) await sjs.killRun(run.id).catch(ignoreEnded);
      return run ? { run: (await sjs.removeRun(run.id)).id } : { tag: (await sjs.removeImage(target)).tag };
    };
    const { done, errors, status } = await forEachTarget('rm', input.positionals, context, async (target) => {
      const gone = await withRunOrImage(target, sjs, (run) => remove(target, run));
      await output.print(gone['run'] ?? gone['tag'] ?? target);
      return gone;
    });
    if (output.json) await output.printJson({ removed: done, errors });
    return status;
  },
};

/** It ended by itself in that moment. */
function ignoreEnded(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'RUN_ENDED') throw error;
}
