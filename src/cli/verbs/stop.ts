import { parseDuration, SjsError } from '../../index.js';
import { forEachTarget } from '../each-target.js';
import { withRun } from '../find-run.js';
import type { Verb } from '../verb.js';

/** `sjs stop`: as docker stop. */
export const stopVerb: Verb = {
  examples: [
    ['sjs stop 01K5ZQ8V', 'SIGTERM, and SIGKILL after ten seconds'],
    ['sjs stop -t 1 $(sjs ps -q)', 'all that run, with one second each'],
  ],
  usage: '<run…>',
  positionals: [1, Infinity],
  options: {
    time: {
      short: 't',
      also: ['timeout'],
      value: 'SECONDS',
      describe: 'until it is killed; 10 when not given',
    },
  },
  notes: 'The record says interrupted. A run that is over already stays as it is.',
  async run(input, context) {
    const { sjs, output } = context;
    const graceMs = parseGrace(input.value('time') ?? '10');
    const { done, errors, status } = await forEachTarget(
      'stop',
      input.positionals,
      context,
      async (target) => {
        const record = await withRun('stop', target, sjs, (id) => sjs.stopRun(id, { graceMs }));
        await output.print(record.id);
        return record;
      },
    );
    if (output.json) await output.printJson({ stopped: done, errors });
    return status;
  },
};

/** Seconds, as docker has them, or a duration as everywhere else in sjs. */
function parseGrace(text: string): number {
  const ms = /^[0-9]{1,5}$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms !== undefined) return ms;
  throw new SjsError('USAGE', `--time ${JSON.stringify(text)} is not understood`, {
    next: 'write seconds, as 10, or a duration, as 500ms',
  });
}
