import type { Sjs } from '../../index.js';
import type { Colors } from '../output.js';
import { describeSigner } from '../signer.js';
import { cleanLine } from '../terminal.js';
import type { Verb } from '../verb.js';

type SealVerification = Awaited<ReturnType<Sjs['verifyImage']>>;
type Signature = NonNullable<SealVerification['signature']>;
type Base = NonNullable<SealVerification['base']>;

/** `sjs verify`: each link of the chain, and how anybody can check it by hand. */
export const verifyVerb: Verb = {
  examples: [
    [
      'sjs verify sjs/my-job:1.0.0-3f9a0c1b2d4e',
      'its seal, its rights, its base; who signed it, and what is attested',
    ],
    ['sjs verify my-job', 'the newest seal of that name'],
    ['sjs verify --verbose my-job', 'and the commands of cosign and docker by which anybody can check it'],
    ['sjs verify registry.example.com/sandboxes/my-job@sha256:3f9a0c1b2d4e…', 'what a pull would take in'],
  ],
  usage: '<tag|seal|name|registry/path@digest>',
  positionals: [1, 1],
  options: {
    offline: { describe: 'ask nobody but the engine: signatures count as they were verified here before' },
  },
  notes: `With --offline, seal, labels and rights are checked as ever, and the signature of the image by the proof that this SJS_HOME
has of it and by the policy of today; the base is not, and that is said.
Exit status: 0 verified, 3 something does not hold, 4 the policy refuses it, 5 nobody answers.`,
  async run(input, { sjs, output, tapSignals }) {
    const found = await sjs.verifyImage(input.positionals[0] ?? '', {
      signal: tapSignals().signals.abort,
      offline: input.has('offline'),
    });
    const commands = checksByHand(found);
    if (output.json) await output.printJson({ verified: true, ...found, commands });
    else {
      await output.print(formatVerification(found, output.out));
      if (output.verbose) await output.print(['', 'To check it by hand:', ...commands].join('\n'));
      else output.note('--verbose prints the commands by which anybody can check it without sjs');
    }
    return 0;
  },
};

function formatVerification(
  { tag, seal, imageId, base, signature, unchecked }: SealVerification,
  colors: Colors,
): string {
  const ok = colors.green('ok');
  return [
    ...(base
      ? [
          `${ok}  base       ${base.image}@${base.digest}${base.version === null ? '' : ` (${cleanLine(base.version)})`}`,
          `${ok}  signature  by ${describeSigner(base.signer)}`,
          `${ok}  policy     trusts it in ${cleanLine(base.trustedBy)}, and allows the sealed rights`,
        ]
      : [`${ok}  policy     allows the sealed rights`]),
    `${ok}  seal       ${seal}`,
    `${ok}  image      ${tag}${imageId === null ? '' : `, ${imageId}`}`,
    ...(signature ? describeSignature(signature, ok) : []),
    ...unchecked.map((what) => `${colors.dim('--')}  unchecked  ${what}`),
  ].join('\n');
}

function describeSignature(
  { repository, digest, signers, trustedBy, attestations, provenance, verifiedAt }: Signature,
  ok: string,
): string[] {
  const who = [...new Set(signers.map(({ name }) => describeSigner(name)))].join(' and ');
  const when = verifiedAt === null ? '' : `, verified here ${verifiedAt}`;
  const rules = trustedBy.length === 0 ? '' : `, whom ${trustedBy.map(cleanLine).join(' and ')} trusts`;
  return [
    `${ok}  signed     ${repository}@${digest}`,
    `${ok}             by ${who}${rules}${when}`,
    ...attestations.map((type) => {
      if (type !== 'slsaprovenance1' || !provenance) return `${ok}  attested   ${type}`;
      const { finishedOn, builder, commit } = provenance;
      const made = finishedOn === null ? '' : `, made ${cleanLine(finishedOn)}`;
      const source = commit === null ? '' : `, its folder said to be at commit ${cleanLine(commit)}`;
      return `${ok}  attested   ${type}: this seal over this base${made} by ${cleanLine(builder)}${source}`;
    }),
  ];
}

/** What a stranger with cosign and docker alone can run, to be pasted as it is. */
export function checksByHand({
  tag,
  base,
  signature,
}: Pick<SealVerification, 'tag' | 'base' | 'signature'>): string[] {
  return [
    ...(base ? checkBaseByHand(base) : []),
    ...(signature ? checkSignatureByHand(signature) : []),
    `docker image inspect --format '{{.Id}} {{json .RootFS.Layers}} {{json .Config}}' ${tag}`,
  ];
}

const writeFile = (name: string, text: string | null): string[] =>
  text === null ? [] : [`cat > ${name} <<'EOF'`, ...text.trim().split('\n').map(cleanLine), 'EOF'];

function checkBaseByHand({
  image,
  digest,
  publicKey,
  keyless,
  trustedRoot,
  transparencyLog,
}: Base): string[] {
  const flags = [
    ...(keyless ? keylessFlags(keyless) : ['--key base.pub']),
    // cosign 3's flag; cosign 2 wants the parts.
    ...(trustedRoot === null ? [] : ['--trusted-root trusted-root.json']),
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...(isLoopback(image) ? ['--allow-insecure-registry'] : []),
  ];
  return [
    ...writeFile('base.pub', publicKey),
    ...writeFile('trusted-root.json', trustedRoot),
    `cosign verify ${flags.join(' ')} ${image}@${digest}`,
  ];
}

/** The key is who signed it: where it comes from is what a stranger has to know. */
function checkSignatureByHand(signature: Signature): string[] {
  const { repository, digest, signers, attestations, verifiedAt, trustedRoot, statementFile } = signature;
  const [signer] = signers;
  if (!signer || verifiedAt !== null) return [];
  if (statementFile !== null) return checkStatementByHand(signer, digest, trustedRoot, statementFile);
  const { keyless, transparencyLog } = signer;
  const flags = [
    ...(keyless ? keylessFlags({ ...keyless, hasOwnRoots: keyless.caRoots !== null }) : ['--key signer.pub']),
    ...(trustedRoot === null ? [] : ['--trusted-root trusted-root.json']),
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    ...(isLoopback(repository) ? ['--allow-insecure-registry'] : []),
  ].join(' ');
  return [
    ...writeFile('signer.pub', signer.publicKey),
    ...writeFile('trusted-root.json', trustedRoot),
    `cosign verify ${flags} ${repository}@${digest}`,
    ...attestations.map(
      (type) => `cosign verify-attestation --type ${type} ${flags} ${repository}@${digest}`,
    ),
  ];
}

/** A trusted root without anybody in it: with a key alone cosign 3 needs none, and asks Sigstore for its own all the same. */
const NOBODY = JSON.stringify({ mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' });

/** What was signed without a registry is a bundle in a file, about the seal; cosign 2 takes the envelope in it. */
function checkStatementByHand(
  { keyless, publicKey, transparencyLog }: Signature['signers'][number],
  seal: string,
  trustedRoot: string | null,
  file: string,
): string[] {
  const hex = seal.slice('sha256:'.length);
  const flags = [
    'cosign verify-blob-attestation',
    ...(keyless ? keylessFlags({ ...keyless, hasOwnRoots: keyless.caRoots !== null }) : ['--key signer.pub']),
    ...(transparencyLog === 'none' ? ['--insecure-ignore-tlog=true'] : []),
    '--type https://slsa.dev/provenance/v1',
  ].join(' ');
  const root = trustedRoot ?? (keyless === null && transparencyLog === 'none' ? NOBODY : null);
  const withRoot = root === null ? '' : ' --trusted-root trusted-root.json';
  const second = keyless !== null || transparencyLog === 'required';
  return [
    ...writeFile('signer.pub', publicKey),
    ...writeFile('trusted-root.json', root),
    '# with cosign 3:',
    `${flags}${withRoot} --digest ${hex} --digestAlg sha256 --bundle ${quote(file)}`,
    ...(second
      ? []
      : [
          '# with cosign 2, and then that it is about this seal:',
          `jq .dsseEnvelope ${quote(file)} > envelope.json`,
          `${flags} --check-claims=false --signature envelope.json`,
          `jq -r .dsseEnvelope.payload ${quote(file)} | base64 -d | jq -e '[.subject[].digest.sha256] == ["${hex}"]'`,
        ]),
  ];
}

function keylessFlags(keyless: NonNullable<Base['keyless']>): string[] {
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
