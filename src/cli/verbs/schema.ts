import { nearest, SjsError } from '../../index.js';
import { write } from '../output.js';
import type { Verb } from '../verb.js';

const KINDS = ['sandbox', 'policy'] as const;

/** `sjs schema`. */
export const schemaVerb: Verb = {
  examples: [
    ['sjs schema > sandbox.schema.json', 'for an editor that checks while you write'],
    ['sjs schema policy', "of the operator's policy"],
  ],
  usage: '[sandbox|policy]',
  positionals: [0, 1],
  async run(input, { sjs, output }) {
    const [wanted = 'sandbox'] = input.positionals;
    const kind = KINDS.find((name) => name === wanted);
    if (kind === undefined) {
      throw new SjsError('USAGE', `there is no schema of ${JSON.stringify(wanted)}`, {
        next: `did you mean ${nearest(wanted, KINDS) ?? KINDS.join(' or ')}?`,
      });
    }
    await write(output.stdout, `${JSON.stringify(await sjs.schema(kind), null, 2)}\n`);
    return 0;
  },
};
