import { SjsError } from '../../index.js';
import { formatSize } from '../size.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs prune`. */
export const pruneVerb: Verb = {
  examples: [
    ['sjs prune', 'what is older or larger than the policy keeps: 30 days and 5 GiB when it does not say'],
    ['sjs prune --dry-run', 'what that would be, and why the rest of what is old stays'],
    ['sjs prune --ad-hoc', 'also all that was sealed of code without a sandbox.yaml, with its runs'],
    ['sjs prune --json | jq .contents.bytes', 'how much was freed'],
  ],
  usage: '',
  positionals: [0, 0],
  options: {
    'dry-run': { describe: 'remove nothing, and say what would be removed, and what is kept why' },
    'ad-hoc': { describe: 'also images of code that has no sandbox.yaml, and their runs, however young' },
  },
  notes:
    'What is needed stays, however old it is: a run with a receipt, and its image; the image of any run that is kept; the\n' +
    'newest image built beside a sandbox.lock that is still there and names its base; what a kept image was rebased\n' +
    'from. Packages of npm and Python that no build has asked for in that time go too: they are fetched again. Images of code without a sandbox.yaml go after a day when no run needs them. Base images are never removed.',
  refuse: (option) =>
    ['f', 'force'].includes(option)
      ? new SjsError('USAGE', `there is no option ${option === 'f' ? '-f' : '--force'}`, {
          next: 'leave it out: sjs prune never asks; --dry-run says what it would remove',
        })
      : null,
  async run(input, { sjs, output, tapSignals }) {
    const dryRun = input.has('dry-run');
    const { records, contents, images, packages, kept } = await sjs.prune({
      dryRun,
      adHoc: input.has('ad-hoc'),
      signal: tapSignals().signals.abort,
    });
    if (output.json) await output.printJson({ records, contents, images, packages, kept });
    if (dryRun)
      for (const { what, name, why } of kept) output.note(cleanLine(`kept: ${what} ${name}: ${why}`));
    for (const id of records) await output.print(`run ${id}`);
    for (const image of images) await output.print(`image ${image}`);
    output.note(
      `${dryRun ? 'would remove' : 'removed'} ${count(records.length, 'run')}, ${count(images.length, 'sealed image')}, ` +
        `${count(contents.count, 'kept content')} (${formatSize(contents.bytes)}) and ` +
        `${count(packages.count, 'cached package')} (${formatSize(packages.bytes)})`,
    );
    return 0;
  },
};

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
