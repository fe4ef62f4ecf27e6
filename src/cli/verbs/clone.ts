import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs clone`: a sealed image as sandbox.yaml and source. */
export const cloneVerb: Verb = {
  examples: [
    [
      'sjs clone my-job copy && sjs build copy',
      'its sandbox.yaml and source; building them gives the same seal',
    ],
    ['sjs clone sjs/my-job:1.0.0-3f9a0c1b2d4e old', 'one exact image'],
  ],
  usage: '<tag|seal|name> <dir>',
  positionals: [2, 2],
  notes: `The source is written exactly as it was sealed, the files of --in too. The sandbox.yaml says what is sealed, not how
its author wrote it: every limit is stated, and the base is pinned by its digest.`,
  async run(input, { sjs, output, tapSignals }) {
    const [target = '', directory = ''] = input.positionals;
    const result = await sjs.cloneImage(target, directory, { signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(result);
    await output.print(directory);
    for (const file of result.strippedOtherwise) {
      output.say(
        `sjs: ${cleanLine(file)} is not what runs: its JavaScript in the image is other than this sjs makes of it`,
      );
    }
    output.note(`${result.tag} is in ${directory}; next: sjs build ${directory}`);
    return 0;
  },
};
