import semver from 'semver';
import { SjsError } from '../../errors.js';
import type { BaseSignature, ResolvedBase, VerifiedBase } from '../../model/base.js';
import type { BaseRule, TrustRequirement } from '../../model/policy.js';
import { canonicalJson } from '../../model/canonical-json.js';
import type { Clock } from '../../ports/clock.js';
import type {
  SignatureVerifier,
  Signer,
  VerifiedPayload,
  VerifyRequest,
} from '../../ports/signature-verifier.js';
import { formatRepository, type DigestReference } from '../../model/reference.js';
import { showPlace } from '../../model/show-place.js';
import { withAuthorities } from '../../model/trusted-root.js';
import { mostHelpful } from './most-helpful.js';
import { checkPayload } from './check-payload.js';
import { fingerprintOf, usableKeys } from './trusted-keys.js';

/** What one rule found: the evidence it accepts. */
interface Evidence {
  readonly rule: BaseRule;
  readonly signer: Signer;
  readonly payload: VerifiedPayload;
}

type SignerDescription = Omit<BaseSignature, 'transparencyLog' | 'annotations' | 'rule'>;

type Ask = (signer: Signer, rule: BaseRule) => Promise<readonly VerifiedPayload[]>;

/** The verifier of one build, which asks cosign each question once. */
export function askOnce(verifier: Pick<SignatureVerifier, 'verify'>): Pick<SignatureVerifier, 'verify'> {
  const asked = new Map<string, Promise<readonly VerifiedPayload[]>>();
  return {
    verify: (request, signal) => {
      const key = canonicalJson(request);
      const answer = asked.get(key) ?? verifier.verify(request, signal);
      asked.set(key, answer);
      return answer;
    },
  };
}

/**
 * Begins to ask what {@link verifyBase} will ask of this digest, with the same {@link askOnce}: cosign needs as long as
 * the rest of a build, and a lock knows the digest before the registry has said anything. Decides nothing.
 */
export function beginVerifying(
  reference: DigestReference,
  { alternatives }: TrustRequirement,
  verifier: Pick<SignatureVerifier, 'verify'>,
  clock: Clock,
  signal?: AbortSignal,
): void {
  for (const rule of alternatives.flat()) {
    try {
      for (const signer of signersOf(rule, clock)) {
        verifier.verify(toRequest(reference, signer, rule), signal).catch(() => undefined);
      }
    } catch {
      // verifyBase will say so.
    }
  }
}

const toRequest = (
  { registry, path, digest }: DigestReference,
  signer: Signer,
  { trustedRoot, transparencyLog }: BaseRule,
): VerifyRequest => ({ reference: { registry, path, digest }, signer, trustedRoot, transparencyLog });

/** Whom a rule accepts now. @throws SjsError as {@link usableKeys}. */
const signersOf = (rule: BaseRule, clock: Clock): readonly Signer[] =>
  rule.keyless ? [rule.keyless] : usableKeys(rule, clock.now()).map(({ publicKey }) => ({ publicKey }));

/**
 * Verifies the digest that the tag or pin named: every layer of the policy with an opinion must have a rule that a
 * signature satisfies. Questions to cosign are asked at once, each one once. Denied digests are the caller's.
 * @throws SjsError the most telling refusal of all rules: `BASE_UNTRUSTED`, `BASE_UNVERIFIED`, `BASE_KEY_MISMATCH`,
 * `BASE_KEY_OUT_OF_DATE`, `BASE_IDENTITY_MISMATCH`, `BASE_DIGEST_MISMATCH`, `BASE_VERSION_MISMATCH`, `BASE_REPOSITORY_MISMATCH`,
 * `POLICY_INVALID` for a key that is none, and what cosign and the registry fail with.
 */
export async function verifyBase(
  base: ResolvedBase,
  requirement: TrustRequirement,
  verifier: Pick<SignatureVerifier, 'verify'>,
  clock: Clock,
  signal?: AbortSignal,
): Promise<VerifiedBase> {
  const { alternatives } = requirement;
  const repository = formatRepository(base.repository);
  if (
    requirement.repository !== repository ||
    alternatives.length === 0 ||
    alternatives.some((rules) => rules.length === 0)
  ) {
    throw new SjsError('BASE_UNTRUSTED', `no policy trusts ${repository}`, {
      next: 'import it with sjs base import … --sign-key KEY --trust, or add a rule to bases: of your policy',
    });
  }
  const once = askOnce(verifier);
  const reference = { ...base.repository, digest: base.digest };
  const ask: Ask = (signer, rule) => once.verify(toRequest(reference, signer, rule), signal);
  const layers = await Promise.all(
    alternatives.map((rules) => satisfyOne(rules, (rule) => satisfyRule(rule, base, ask, clock))),
  );
  const first = layers[0]?.[0] as Evidence;
  const fields = {
    ...base,
    signature: {
      ...describeSigner(first),
      transparencyLog: first.rule.transparencyLog,
      annotations: first.payload.annotations,
      rule: showPlace(first.rule.location),
    },
    signedVersion: semver.valid(first.payload.annotations['version']) ?? base.version,
    allowSetuidFiles: layers.every((found) => found.some(({ rule }) => rule.allowSetuidFiles)),
  };
  return fields as unknown as VerifiedBase;
}

/** Who signed, in the form that records and locks keep. */
function describeSigner({ rule, signer }: Evidence): SignerDescription {
  if ('publicKey' in signer) {
    const keyFingerprint = fingerprintOf(signer.publicKey);
    const { publicKey } = signer;
    return {
      signer: keyFingerprint,
      keyFingerprint,
      publicKey,
      keyless: null,
      trustedRoot: rule.trustedRoot,
    };
  }
  const { issuer, identity, identityPattern, caRoots } = signer;
  return {
    signer: `${identity ?? identityPattern} (${issuer})`,
    keyFingerprint: null,
    publicKey: null,
    keyless: { issuer, identity, identityPattern, hasOwnRoots: caRoots !== null },
    trustedRoot: caRoots === null ? rule.trustedRoot : withAuthorities(rule.trustedRoot, caRoots),
  };
}

/** All that succeed of the given, at least one; else the most telling failure. */
async function satisfyOne<T>(
  items: readonly T[],
  attempt: (item: T) => Promise<Evidence>,
): Promise<readonly Evidence[]> {
  const results = await Promise.allSettled(items.map(attempt));
  const found = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (found.length > 0) return found;
  throw mostHelpful(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])),
  );
}

async function satisfyRule(rule: BaseRule, base: ResolvedBase, ask: Ask, clock: Clock): Promise<Evidence> {
  const [evidence] = await satisfyOne(signersOf(rule, clock), async (signer) => {
    const payloads = await ask(signer, rule);
    const failures: unknown[] = [];
    for (const payload of payloads) {
      const failure = checkPayload(payload, rule, base);
      if (failure === null) return { rule, signer, payload };
      failures.push(failure);
    }
    throw mostHelpful(failures);
  });
  return evidence as Evidence;
}
