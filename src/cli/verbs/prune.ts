import { SjsError } from '../../index.js';
import { formatSize } from '../size.js';
import type { Verb } from '../verb.js';

/** `sjs prune`. */
export const pruneVerb: Verb = {
  examples: [
    ['sjs prune', 'what is older or larger than the policy keeps: 30 days and 5 GiB when it does not say'],
    ['sjs prune --dry-run', 'what that would be'],
    ['sjs prune --json | jq .contents.bytes', 'how much was freed'],
  ],
  usage: '',
  positionals: [0, 0],
  options: { 'dry-run': { describe: 'remove nothing, and say what would be removed' } },
  refuse: (option) =>
    ['f', 'force'].includes(option)
      ? new SjsError('USAGE', `there is no option ${option === 'f' ? '-f' : '--force'}`, {
          next: 'leave it out: sjs prune never asks; --dry-run says what it would remove',
        })
      : null,
  async run(input, { sjs, output, tapSignals }) {
    const dryRun = input.has('dry-run');
    const { records, contents, images } = await sjs.prune({ dryRun, signal: tapSignals().signals.abort });
    if (output.json) await output.printJson({ records, contents, images });
    for (const id of records) await output.print(`run ${id}`);
    for (const image of images) await output.print(`image ${image}`);
    output.note(
      `${dryRun ? 'would remove' : 'removed'} ${count(records.length, 'run')}, ${count(images.length, 'sealed image')} and ` +
        `${count(contents.count, 'kept content')} (${formatSize(contents.bytes)})`,
    );
    return 0;
  },
};

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
