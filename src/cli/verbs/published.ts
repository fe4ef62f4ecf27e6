import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs published`: what the registry has of a sealed image. */
export const publishedVerb: Verb = {
  examples: [
    ['sjs published my-job', 'whether the newest seal of that name was pushed, and as what'],
    ['sjs published my-job --json | jq .others', 'other seals that stand there under the same version'],
  ],
  usage: '<tag|seal|name>',
  positionals: [1, 1],
  notes: 'Looks in the registry alone, and verifies nothing: sjs verify <reference> does.',
  async run(input, { sjs, output, tapSignals }) {
    const published = await sjs.findPublished(input.positionals[0] ?? '', {
      signal: tapSignals().signals.abort,
    });
    const { tag, seal, repository, found, others } = published;
    if (output.json) await output.printJson(published);
    if (repository === null) {
      output.note('no policy says where sealed images are pushed to: state defaults.repository');
    } else if (found === null) {
      output.note(`${repository} does not have ${tag}: sjs push ${tag} --sign`);
    } else {
      await output.print(cleanLine(found.reference));
      if (found.seal !== seal) output.say(`${tag} has another seal there: ${found.seal}`);
    }
    for (const other of others) output.note(`the same version with another seal: ${cleanLine(other)}`);
    return 0;
  },
};
