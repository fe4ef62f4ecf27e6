import { SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';
import type { ResolvedBase } from '../../model/base.js';
import type { BaseRule, SignerRule } from '../../model/policy.js';
import { formatReference, formatRepository, parseReference } from '../../model/reference.js';
import { matchesRepository } from '../../model/repository-pattern.js';
import type { VerifiedPayload } from '../../ports/signature-verifier.js';

const RESIGN = 'import and sign it again with sjs base import --sign-key …';

/**
 * What keeps a verified payload from counting for this base under this rule, or null when nothing does: digest,
 * version, repository and the rule's own annotations must all be what was resolved (SPEC §5).
 */
export function checkPayload(payload: VerifiedPayload, rule: BaseRule, base: ResolvedBase): SjsError | null {
  const name = formatReference({ ...base.repository, digest: base.digest });
  if (payload.digest !== base.digest) {
    return new SjsError('BASE_DIGEST_MISMATCH', `the signature at ${name} is of ${payload.digest}`, {
      next: RESIGN,
    });
  }
  return (
    checkVersion(payload, base, name) ??
    checkRepository(payload, rule, formatRepository(base.repository), name) ??
    checkAnnotations(payload, rule, name)
  );
}

function checkVersion({ annotations }: VerifiedPayload, base: ResolvedBase, name: string): SjsError | null {
  if (base.version === null || annotations['version'] === base.version) return null;
  const signed = annotations['version'];
  return new SjsError(
    'BASE_VERSION_MISMATCH',
    `tag ${base.version} names ${name}, which is signed ${signed === undefined ? 'without a version' : `as version ${quote(signed)}`}`,
    {
      next:
        signed === undefined
          ? `sign it with its version (${RESIGN}), or pin the base by digest`
          : 'somebody moved the tag: ask whoever runs the registry, or pin the base by digest',
    },
  );
}

/** What was signed must be of the repository that it was found in, or of that whose mirror this is. */
export function checkRepository(
  payload: Pick<VerifiedPayload, 'annotations' | 'dockerReference'>,
  rule: SignerRule,
  resolved: string,
  name: string,
): SjsError | null {
  const signed = signedRepositoryOf(payload);
  const isMirror =
    !matchesRepository(rule.repository, resolved) &&
    rule.mirrors.some((mirror) => matchesRepository(mirror, resolved));
  const isExpected =
    signed !== null && matchesRepository(rule.repository, signed) && (isMirror || signed === resolved);
  if (isExpected) return null;
  return new SjsError(
    'BASE_REPOSITORY_MISMATCH',
    signed === null
      ? `${name} is signed for no repository`
      : `${name} is signed for ${quote(signed)}, not for ${isMirror ? rule.repository : resolved}`,
    { next: RESIGN, location: rule.location },
  );
}

/** The repository that was signed: as annotation by sjs, as reference by cosign 2; null when neither was. */
export const signedRepositoryOf = (payload: Pick<VerifiedPayload, 'annotations' | 'dockerReference'>) =>
  payload.annotations['repository'] ?? repositoryOf(payload.dockerReference);

/** The repository of a `docker-reference`, with whatever tag or digest it carries; null when it is none. */
function repositoryOf(dockerReference: string | null): string | null {
  if (dockerReference === null) return null;
  try {
    return formatRepository(parseReference(dockerReference));
  } catch {
    return null;
  }
}

/** The rule's own annotations must be signed. */
export function checkAnnotations(
  { annotations }: Pick<VerifiedPayload, 'annotations'>,
  rule: SignerRule,
  name: string,
): SjsError | null {
  // Names come from a policy: `toString` is one that every object has.
  const signed = new Map(Object.entries(annotations));
  const missing = Object.entries(rule.annotations).find(([key, value]) => signed.get(key) !== value);
  if (!missing) return null;
  const [key, value] = missing;
  // A repository's policy may ask for it.
  const asked = cleanText(`${key}=${value}`);
  const found = signed.get(key);
  return new SjsError('BASE_UNVERIFIED', `the signature of ${name} lacks the annotation ${asked}`, {
    cause: found === undefined ? 'it is not signed' : `signed is ${quote(found)}`,
    next: `sign it with cosign sign -a ${asked}`,
    location: rule.location,
  });
}

const quote = (text: string): string => cleanText(JSON.stringify(text.slice(0, 200)));
