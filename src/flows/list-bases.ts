import semver from 'semver';
import type { KeylessSigner, Policy } from '../model/policy.js';
import { parseReference } from '../model/reference.js';
import { SjsError } from '../errors.js';
import type { Registry } from '../ports/registry.js';

/** One rule of the policy that trusts bases, and what the registry has under it. */
export interface TrustedBaseListing {
  readonly repository: string;
  /** `file:line` of the rule. */
  readonly trustedBy: string;
  readonly transparencyLog: 'required' | 'none';
  /** Whom a certificate must name; null when the rule trusts keys. */
  readonly keyless: Omit<KeylessSigner, 'caRoots'> | null;
  readonly keys: readonly { readonly notBefore: string | null; readonly notAfter: string | null }[];
  /** Versions, highest first; null for a pattern, which no registry can list. */
  readonly versions: readonly string[] | null;
  /** Why the registry could not be asked; null when it was. */
  readonly error: string | null;
}

/** Every base rule of the policy, with the versions its repository has. An unreachable registry is said, not thrown. */
export async function listBases(
  policy: Policy,
  registry: Registry,
  signal?: AbortSignal,
): Promise<readonly TrustedBaseListing[]> {
  const rules = policy.layers.flatMap((layer) => layer.bases ?? []);
  return Promise.all(
    rules.map(async (rule) => ({
      repository: rule.repository,
      trustedBy: `${rule.location.file}${rule.location.line === undefined ? '' : `:${rule.location.line}`}`,
      transparencyLog: rule.transparencyLog,
      keyless: rule.keyless && {
        issuer: rule.keyless.issuer,
        identity: rule.keyless.identity,
        identityPattern: rule.keyless.identityPattern,
      },
      keys: rule.keys.map(({ notBefore, notAfter }) => ({ notBefore, notAfter })),
      ...(await versionsOf(rule.repository, registry, signal)),
    })),
  );
}

async function versionsOf(
  pattern: string,
  registry: Registry,
  signal?: AbortSignal,
): Promise<{ versions: readonly string[] | null; error: string | null }> {
  if (pattern.includes('*')) return { versions: null, error: null };
  try {
    const tags = await registry.listTags(parseReference(pattern), signal);
    return { versions: semver.rsort(tags.filter((tag) => semver.valid(tag) === tag)), error: null };
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    return { versions: null, error: error.message };
  }
}
