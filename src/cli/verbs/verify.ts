import type { Sjs } from '../../index.js';
import type { Colors } from '../output.js';
import { describeSigner } from '../signer.js';
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
    `${ok}  signature  by ${describeSigner(base.signer)}`,
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
  const { publicKey, keyless, trustedRoot, transparencyLog } = base;
  const file = (name: string, text: string | null): string[] =>
    text === null ? [] : [`cat > ${name} <<'EOF'`, ...text.trim().split('\n').map(cleanLine), 'EOF'];
  const flags = [
    ...(keyless ? keylessFlags(keyless) : ['--key base.pub']),
    // cosign 3's flag; cosign 2 wants the parts.
    ...(trustedRoot === null ? [] : ['--trusted-root trusted-root.json']),
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...(isLoopback(base.image) ? ['--allow-insecure-registry'] : []),
  ];
  return [
    ...file('base.pub', publicKey),
    ...file('trusted-root.json', trustedRoot),
    `cosign verify ${flags.join(' ')} ${base.image}@${base.digest}`,
    `docker image inspect --format '{{.Id}} {{json .RootFS.Layers}} {{json .Config}}' ${tag}`,
  ];
}

function keylessFlags(keyless: NonNullable<SealVerification['base']['keyless']>): string[] {
  const { issuer, identity, identityPattern, hasOwnRoots } = keyless;
  return [
    `--certificate-oidc-issuer ${quote(issuer)}`,
    identity === null
      ? `--certificate-identity-regexp ${quote(identityPattern ?? '')}`
      : `--certificate-identity ${quote(identity)}`,
    ...(hasOwnRoots ? ['--insecure-ignore-sct=true'] : []),
  ];
}

/** For a shell. */
const quote = (text: string): string => `'${cleanLine(text).replaceAll("'", String.raw`'\''`)}'`;

/** A registry on this machine, which cosign asks without TLS only when told to. */
const isLoopback = (image: string): boolean =>
  /^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])(?::|\/)/.test(image);
