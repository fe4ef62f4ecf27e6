import { SjsError } from '../../errors.js';
import { readTrustedRoot, withAuthorities } from '../../model/trusted-root.js';
import type { VerifyRequest } from '../../ports/signature-verifier.js';
import { isThirdGeneration } from './cosign-version.js';
import { withTemporaryFiles } from '../process/temporary-files.js';

/** The part of a question that says whom to believe. */
type TrustRequest = Pick<VerifyRequest, 'signer' | 'trustedRoot'>;

/** Calls cosign with more flags and environment. */
type Use<T> = (flags: readonly string[], env: Readonly<Record<string, string>>) => Promise<T>;

/** Whether the question names authorities or logs other than public Sigstore's. */
export function hasOwnTrust({ signer, trustedRoot }: TrustRequest): boolean {
  return trustedRoot !== null || caRootsOf(signer) !== null;
}

/**
 * Calls with what makes this version of cosign trust the request's authorities and logs, and no others. cosign 3 takes
 * a trusted root whole; cosign 2 takes it for bundles only, so for signatures it gets the parts.
 * @throws SjsError `COSIGN_UNSUPPORTED` when cosign 2 cannot be told all parts; `POLICY_INVALID` when one is missing.
 */
export function withTrustMaterial<T>(request: TrustRequest, version: string, use: Use<T>): Promise<T> {
  const { signer, trustedRoot } = request;
  if (isThirdGeneration(version)) {
    const caRoots = caRootsOf(signer);
    const root = caRoots === null ? (trustedRoot ?? '') : withAuthorities(trustedRoot, caRoots);
    return withTemporaryFiles({ root }, (paths) => use(['--trusted-root', paths.root], {}));
  }
  const parts = toParts(request);
  return withTemporaryFiles(Object.fromEntries(parts.map(({ name, text }) => [name, text])), (paths) => {
    const pairs = parts.map(({ name }) => [name, paths[name] ?? ''] as const);
    const flags = pairs.filter(([name]) => name.startsWith('--')).flat();
    const env = pairs.filter(([name]) => !name.startsWith('--'));
    // Else the entry of a signature that brings none is looked for in public Sigstore's log.
    return use([...flags, ...(trustedRoot === null ? [] : ['--offline=true'])], Object.fromEntries(env));
  });
}

/** A file's text, and the flag or variable by which cosign 2 gets its path. */
interface Part {
  readonly name: string;
  readonly text: string;
}

/** A part that is left out would make cosign 2 take public Sigstore's in its place. */
function toParts({ signer, trustedRoot }: TrustRequest): readonly Part[] {
  const root = trustedRoot === null ? null : readTrustedRoot(trustedRoot, Date.now());
  const parts: Part[] = root
    ? [{ name: 'SIGSTORE_REKOR_PUBLIC_KEY', text: onlyOne(root.logs, 'transparency log') }]
    : [];
  if ('publicKey' in signer) return parts;
  if (signer.caRoots !== null) return [...parts, { name: '--ca-roots', text: signer.caRoots }];
  const { roots = [], intermediates = [], certificateLogs = [] } = root ?? {};
  if (roots.length === 0) throw missing('certificate authority');
  return [
    ...parts,
    { name: '--ca-roots', text: roots.join('') },
    ...(intermediates.length > 0 ? [{ name: '--ca-intermediates', text: intermediates.join('') }] : []),
    { name: 'SIGSTORE_CT_LOG_PUBLIC_KEY_FILE', text: onlyOne(certificateLogs, 'log of certificates') },
  ];
}

function onlyOne(keys: readonly string[], what: string): string {
  const [key, ...others] = keys;
  if (key === undefined) throw missing(what);
  if (others.length === 0) return key;
  throw new SjsError(
    'COSIGN_UNSUPPORTED',
    `cosign 2 takes one ${what}, and the trusted root has ${keys.length}`,
    {
      next: 'install cosign 3, or leave in the trusted root what signs now',
    },
  );
}

const missing = (what: string): SjsError =>
  new SjsError('POLICY_INVALID', `the policy’s trusted root has no ${what} that is valid now`, {
    next: 'take a newer one: cosign trusted-root create',
  });

const caRootsOf = (signer: VerifyRequest['signer']): string | null =>
  'publicKey' in signer ? null : signer.caRoots;
