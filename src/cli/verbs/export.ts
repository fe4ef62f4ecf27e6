import { SjsError } from '../../index.js';
import { withRunOrImage } from '../find-run.js';
import { refuseStream } from '../parse-args.js';
import type { Verb } from '../verb.js';

/** `sjs export`. */
export const exportVerb: Verb = {
  examples: [
    ['sjs export my-job job.tar', 'the newest seal of that name, with all its finished runs'],
    ['sjs export 01K5ZQ8V run.tar', 'one run and its image, to replay it on another machine'],
  ],
  usage: '<tag|seal|name|run> <file>',
  positionals: [2, 2],
  options: {
    run: { value: 'RUN', many: true, describe: 'only this run of the image, instead of all' },
    'no-runs': { describe: 'the image alone' },
  },
  notes: `The file is an OCI archive, which docker load takes too; one of that name is replaced. It has the arguments, input
and output of the runs in it, and the names of secrets with a fingerprint that says nothing elsewhere: a run with secrets
cannot be replayed there.`,
  async run(input, { sjs, output, tapSignals }) {
    const [target = '', file = ''] = input.positionals;
    refuseStream(file, 'written to');
    const asked = input.values('run');
    if (asked.length > 0 && input.has('no-runs')) {
      throw new SjsError('USAGE', '--run and --no-runs exclude each other', {
        next: 'leave one of them out',
      });
    }
    const result = await withRunOrImage(target, sjs, (run) => {
      if (run?.finishedAt === null) {
        throw new SjsError('RUN_UNFINISHED', `run ${run.id} is ${run.state}`, { next: `sjs wait ${run.id}` });
      }
      const runs = run ? [run.id] : asked.length > 0 || input.has('no-runs') ? asked : undefined;
      return sjs.exportImage(run?.seal ?? target, file, {
        ...(runs && { runs }),
        signal: tapSignals().signals.abort,
      });
    });
    if (output.json) await output.printJson(result);
    await output.print(file);
    const count = result.runs.length;
    output.note(`${result.tag} with ${count} ${count === 1 ? 'run' : 'runs'}; its seal is ${result.seal}`);
    return 0;
  },
};
