import semver from 'semver';
import { SjsError } from '../../errors.js';
import type { ResolvedBase, VerifiedBase } from '../../model/base.js';
import type { BaseRule, TrustRequirement } from '../../model/policy.js';
import type { Clock } from '../../ports/clock.js';
import type { SignatureVerifier, VerifiedPayload } from '../../ports/signature-verifier.js';
import { formatRepository, type DigestReference } from '../../model/reference.js';
import { mostHelpful } from './most-helpful.js';
import { checkPayload } from './check-payload.js';
import { fingerprintOf, usableKeys } from './trusted-keys.js';

/** What one rule found: the evidence it accepts. */
interface Evidence {
  readonly rule: BaseRule;
  readonly publicKey: string;
  readonly payload: VerifiedPayload;
}

type Ask = (publicKey: string, log: BaseRule['transparencyLog']) => Promise<readonly VerifiedPayload[]>;

/** The verifier of one build, which asks cosign each question once. */
export function askOnce(verifier: Pick<SignatureVerifier, 'verify'>): Pick<SignatureVerifier, 'verify'> {
  const asked = new Map<string, Promise<readonly VerifiedPayload[]>>();
  return {
    verify: (request, signal) => {
      const key = JSON.stringify(request);
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
  { registry, path, digest }: DigestReference,
  { alternatives }: TrustRequirement,
  verifier: Pick<SignatureVerifier, 'verify'>,
  clock: Clock,
  signal?: AbortSignal,
): void {
  const reference = { registry, path, digest };
  for (const rule of alternatives.flat()) {
    try {
      for (const { publicKey } of usableKeys(rule, clock.now())) {
        const { transparencyLog } = rule;
        verifier.verify({ reference, publicKey, transparencyLog }, signal).catch(() => undefined);
      }
    } catch {
      // verifyBase will say so.
    }
  }
}

/**
 * Verifies the digest that the tag or pin named: every layer of the policy with an opinion must have a rule that a
 * signature satisfies. Questions to cosign are asked at once, each one once. Denied digests are the caller's.
 * @throws SjsError the most telling refusal of all rules: `BASE_UNTRUSTED`, `BASE_UNVERIFIED`, `BASE_KEY_MISMATCH`,
 * `BASE_KEY_OUT_OF_DATE`, `BASE_DIGEST_MISMATCH`, `BASE_VERSION_MISMATCH`, `BASE_REPOSITORY_MISMATCH`,
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
  const ask: Ask = (publicKey, transparencyLog) =>
    once.verify({ reference, publicKey, transparencyLog }, signal);
  const layers = await Promise.all(
    alternatives.map((rules) => satisfyOne(rules, (rule) => satisfyRule(rule, base, ask, clock))),
  );
  const first = layers[0]?.[0] as Evidence;
  const fields = {
    ...base,
    signature: {
      keyFingerprint: fingerprintOf(first.publicKey),
      publicKey: first.publicKey,
      transparencyLog: first.rule.transparencyLog,
      annotations: first.payload.annotations,
      rule: `${first.rule.location.file}${first.rule.location.line === undefined ? '' : `:${first.rule.location.line}`}`,
    },
    signedVersion: semver.valid(first.payload.annotations['version']) ?? base.version,
    allowSetuidFiles: layers.every((found) => found.some(({ rule }) => rule.allowSetuidFiles)),
  };
  return fields as unknown as VerifiedBase;
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
  const keys = usableKeys(rule, clock.now());
  const [evidence] = await satisfyOne(keys, async ({ publicKey }) => {
    const payloads = await ask(publicKey, rule.transparencyLog);
    const failures: unknown[] = [];
    for (const payload of payloads) {
      const failure = checkPayload(payload, rule, base);
      if (failure === null) return { rule, publicKey, payload };
      failures.push(failure);
    }
    throw mostHelpful(failures);
  });
  return evidence as Evidence;
}
