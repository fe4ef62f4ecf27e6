import { describeSigner } from '../signer.js';
import type { Verb } from '../verb.js';

/** `sjs base verify`. */
export const baseVerifyVerb: Verb = {
  examples: [
    ['sjs base verify registry.example.com/base/node:24.2.0', 'a version'],
    ['sjs base verify registry.example.com/base/node@sha256:871d…', 'a digest'],
  ],
  usage: '<ref>',
  positionals: [1, 1],
  async run(input, { sjs, output, tapSignals }) {
    const base = await sjs.verifyBase(input.positionals[0] ?? '', { signal: tapSignals().signals.abort });
    const { repository, digest, indexDigest, manifestDigest, platform, signedVersion, signature } = base;
    const image = `${repository.registry}/${repository.path}`;
    if (output.json) {
      await output.printJson({
        image,
        version: signedVersion,
        digest,
        indexDigest,
        manifestDigest,
        platform,
        signature,
      });
    }
    await output.print(
      [
        `${output.out.green('verified')} ${image}@${digest}${signedVersion === null ? '' : ` (${signedVersion})`}`,
        `  signed by ${describeSigner(signature.signer)}`,
        `  trusted by ${signature.rule}`,
      ].join('\n'),
    );
    return 0;
  },
};
