import { SjsError } from '../../index.js';
import { baseLines, formatLines } from '../change-view.js';
import type { Verb } from '../verb.js';

/** `sjs rebase`: prints the new tag alone on stdout. */
export const rebaseVerb: Verb = {
  examples: [
    ['sjs rebase my-job --base registry.example.com/base/node:24.2.1', 'the same, over a patched base'],
    [
      'sjs rebase my-job:1.0.0-3f9a0c1b2d4e --base registry.example.com/base/node@sha256:…',
      'by digest: verified all the same',
    ],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  options: {
    base: { value: 'REF', describe: 'the base to put it on, as repository:version or repository@digest' },
  },
  notes:
    'Source, packages, program, environment and rights are those that are sealed: no repository is needed. The base is\n' +
    'verified as for a build, and the new seal says in the label dev.sjs.rebased-from which one it came from.',
  async run(input, { sjs, output, tapSignals }) {
    const [target = ''] = input.positionals;
    const base = input.value('base');
    if (base === undefined) {
      throw new SjsError('USAGE', '--base is missing', {
        next: 'sjs base ls lists the bases that the policy trusts',
      });
    }
    const result = await sjs.rebaseImage(target, base, { signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(result);
    await output.print(result.tag);
    for (const line of formatLines(baseLines(result.baseChanges), output.err)) output.note(`base ${line}`);
    return 0;
  },
};
