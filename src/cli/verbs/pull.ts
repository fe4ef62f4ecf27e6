import { describeSigner } from '../signer.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

/** `sjs pull`. */
export const pullVerb: Verb = {
  examples: [
    [
      'sjs pull registry.example.com/sandboxes/my-job@sha256:3f9a0c1b2d4e…',
      'what sjs push printed on another machine; prints the tag',
    ],
    ['sjs run "$(sjs pull registry.example.com/sandboxes/my-job:1.0.0-3f9a0c1b2d4e)"', 'pull and run'],
  ],
  usage: '<registry/path@digest>',
  positionals: [1, 1],
  notes: `The policy's sealed.signers says whose images come in, and which attestations must be there: signature and attestations
are verified before anything of the image is taken. What was verified is kept, and compared with the policy at every run,
without a network. A tag is resolved once; what it names is said.`,
  async run(input, { sjs, output, tapSignals }) {
    const result = await sjs.pullImage(input.positionals[0] ?? '', { signal: tapSignals().signals.abort });
    if (output.json) await output.printJson(result);
    await output.print(result.tag);
    const signers = result.signers.map(describeSigner).join(' and ');
    output.note(`signed by ${signers}, whom ${result.trustedBy.map(cleanLine).join(' and ')} trusts`);
    return 0;
  },
};
