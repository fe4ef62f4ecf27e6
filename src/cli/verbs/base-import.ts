import type { Verb } from '../verb.js';

/** `sjs base import`. */
export const baseImportVerb: Verb = {
  examples: [
    [
      'sjs base import node:24.2.0-slim registry.example.com/base/node:24.2.0 --sign-key cosign.key --trust',
      'copy by digest, sign, trust',
    ],
    ['sjs base import node:24.2.0-slim registry.example.com/base/node:24.2.0', 'copy by digest only'],
  ],
  usage: '<ref> <target>',
  positionals: [2, 2],
  options: {
    'sign-key': {
      value: 'KEY',
      describe: 'the private key to sign with: a file made by cosign generate-key-pair',
    },
    trust: { describe: 'write the public key and the repository into your policy' },
  },
  notes: 'cosign takes the password of the key from COSIGN_PASSWORD.',
  async run(input, { sjs, output, tapSignals }) {
    const [source = '', target = ''] = input.positionals;
    const signKey = input.value('sign-key');
    const result = await sjs.importBase(source, target, {
      signal: tapSignals().signals.abort,
      trust: input.has('trust'),
      ...(signKey !== undefined && { signKey }),
    });
    if (output.json) await output.printJson(result);
    await output.print(result.reference);
    if (result.publicKey === null) output.note('nobody signed it: give --sign-key, or no build will take it');
    if (result.policyFile !== null) output.note(`trusted from now on by ${result.policyFile}`);
    return 0;
  },
};
