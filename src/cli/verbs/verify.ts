import type { Sjs } from '../../index.js';
import type { Colors } from '../output.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

type SealVerification = Awaited<ReturnType<Sjs['verifyImage']>>;

/** `sjs verify`: each link of the chain, and how anybody can check it by hand. */
export const verifyVerb: Verb = {
  examples: [
    ['sjs verify sjs/my-job:1.0.0-3f9a0c1b2d4e', 'its seal, its rights, its base'],
    ['sjs verify my-job', 'the newest seal of that name'],
  ],
  usage: '<tag>',
  positionals: [1, 1],
  notes: 'Exit status: 0 verified, 3 something does not hold, 4 the policy refuses it, 5 nobody answers.',
  async run(input, { sjs, output, tapSignals }) {
    const found = await sjs.verifyImage(input.positionals[0] ?? '', { signal: tapSignals().signals.abort });
    const commands = checksByHand(found);
    if (output.json) await output.printJson({ verified: true, ...found, commands });
    else await output.print(formatVerification(found, commands, output.out));
    return 0;
  },
};

function formatVerification(
  { tag, seal, imageId, base }: SealVerification,
  commands: readonly string[],
  colors: Colors,
): string {
  const ok = colors.green('ok');
  return [
    `${ok}  base       ${base.image}@${base.digest}${base.version === null ? '' : ` (${cleanLine(base.version)})`}`,
    `${ok}  signature  by the key ${base.signer}`,
    `${ok}  policy     trusts it in ${cleanLine(base.trustedBy)}, and allows the sealed rights`,
    `${ok}  seal       ${seal}`,
    `${ok}  image      ${tag}, ${imageId}`,
    '',
    'To check it by hand:',
    ...commands,
  ].join('\n');
}

/** What a stranger with cosign and docker alone can run, to be pasted as it is. */
export function checksByHand({ tag, base }: Pick<SealVerification, 'tag' | 'base'>): string[] {
  const { publicKey, transparencyLog } = base;
  const key = [`cat > base.pub <<'EOF'`, ...publicKey.trim().split('\n').map(cleanLine), 'EOF'];
  const flags = [
    '--key base.pub',
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...(isLoopback(base.image) ? ['--allow-insecure-registry'] : []),
  ];
  return [
    ...key,
    `cosign verify ${flags.join(' ')} ${base.image}@${base.digest}`,
    `docker image inspect --format '{{.Id}} {{json .RootFS.Layers}} {{json .Config}}' ${tag}`,
  ];
}

/** A registry on this machine, which cosign asks without TLS only when told to. */
const isLoopback = (image: string): boolean =>
  /^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])(?::|\/)/.test(image);
