import { cleanLine } from '../terminal.js';
import type { Published, Sjs } from '../../index.js';
import type { Output } from '../output.js';
import { readSigning, SIGN_OPTIONS } from '../publish.js';
import type { Verb } from '../verb.js';

type PushResult = Awaited<ReturnType<Sjs['pushImage']>>;

/** What a push came to, for people. */
function notePush({ tag, isSigned, isTrusted, wasPushed, attestations }: PushResult, output: Output): void {
  const done = wasPushed ? 'pushed' : 'was there already';
  if (!isSigned) return output.note(`${tag} ${done}; it is not signed: nobody else can pull it with sjs`);
  const attested = attestations.length === 0 ? '' : `, with ${attestations.join(', ')}`;
  output.note(`${tag} ${done}, and is signed${attested}`);
  if (!isTrusted) output.note('this policy does not trust who signed: sealed.signers says who is trusted');
}

/** What a build with --push or --sign came to, for people. */
export function notePublished({ pushed, signed }: Published, output: Output): void {
  if (pushed) notePush(pushed, output);
  if (!signed) return;
  const trust = signed.isTrusted ? '' : ': this policy does not trust who signed (sealed.signers)';
  output.note(`the statement of ${signed.tag} is signed and kept; sjs export has it with it${trust}`);
}

/** `sjs push`: prints the reference by digest alone on stdout. */
export const pushVerb: Verb = {
  examples: [
    ['sjs push my-job --sign --key cosign.key', 'the newest seal of that name, where the policy says'],
    ['sjs push my-job registry.example.com/sandboxes', 'elsewhere, and unsigned'],
    ['sjs push my-job --sign', 'keyless, in CI: the identity of the job signs'],
  ],
  usage: '<tag|seal|name> [repository]',
  positionals: [1, 2],
  options: SIGN_OPTIONS,
  notes: `It is pushed as <repository>/<name>:<tag>, where defaults.repository of the policy says the repository. A tag that names
another seal there is never moved. What is signed is the digest of the manifest, with the seal, so that cosign verify
agrees. cosign takes the password of a key file from COSIGN_PASSWORD, and what key services need (AWS_…, VAULT_…, GOOGLE_…,
AZURE_…) from the environment.`,
  async run(input, { sjs, output, tapSignals }) {
    const [target = '', repository] = input.positionals;
    const result = await sjs.pushImage(target, {
      ...readSigning(input),
      ...(repository !== undefined && { repository }),
      signal: tapSignals().signals.abort,
    });
    if (output.json) await output.printJson(result);
    await output.print(cleanLine(result.reference));
    notePush(result, output);
    return 0;
  },
};
