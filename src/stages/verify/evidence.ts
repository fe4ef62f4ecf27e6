import { SjsError } from '../../errors.js';
import type { AttestationType } from '../../model/attestation-type.js';
import type { BaseSignature } from '../../model/base.js';
import { onceEach } from '../../model/once-each.js';
import type { SignerRule } from '../../model/policy.js';
import type { DigestReference } from '../../model/reference.js';
import { withAuthorities } from '../../model/trusted-root.js';
import type { Clock } from '../../ports/clock.js';
import type {
  SignatureVerifier,
  Signer,
  VerifiedPayload,
  VerifiedStatement,
  VerifyRequest,
} from '../../ports/signature-verifier.js';
import { mostHelpful } from './most-helpful.js';
import { fingerprintOf, usableKeys } from './trusted-keys.js';

/** What of a verifier answers questions. */
export type Questions = Pick<SignatureVerifier, 'verify' | 'verifyAttestation'>;

/** What one rule found: the evidence it accepts. */
export interface Evidence<Rule extends SignerRule = SignerRule> {
  readonly rule: Rule;
  readonly signer: Signer;
  readonly payload: VerifiedPayload;
  /** What the same signer attested of the same digest, of each type that the rule asks for. */
  readonly statements: ReadonlyMap<AttestationType, readonly VerifiedStatement[]>;
}

/** The verifier of one build, which asks cosign each question once. */
export function askOnce(verifier: Questions): Questions {
  const once = onceEach();
  return {
    verify: (request, signal) => once({ request }, () => verifier.verify(request, signal)),
    verifyAttestation: (request, type, signal) =>
      once({ request, type }, () => verifier.verifyAttestation(request, type, signal)),
  };
}

const toRequest = (
  { registry, path, digest }: DigestReference,
  signer: Signer,
  { trustedRoot, transparencyLog }: SignerRule,
): VerifyRequest => ({ reference: { registry, path, digest }, signer, trustedRoot, transparencyLog });

/** Whom a rule accepts now. @throws SjsError as {@link usableKeys}. */
const signersOf = (rule: SignerRule, clock: Clock): readonly Signer[] =>
  rule.keyless ? [rule.keyless] : usableKeys(rule, clock.now()).map(({ publicKey }) => ({ publicKey }));

const typesOf = (rule: SignerRule, also: readonly AttestationType[]): readonly AttestationType[] => [
  ...new Set([...rule.attestations, ...also]),
];

/** Asks all that {@link findEvidence} will ask of these rules, with the same {@link askOnce}. Decides nothing. */
export function askAhead<Rule extends SignerRule>(
  { reference, alternatives, also = [] }: Omit<EvidenceQuestion<Rule>, 'check'>,
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): void {
  for (const rule of alternatives.flat()) {
    try {
      for (const signer of signersOf(rule, clock)) {
        const request = toRequest(reference, signer, rule);
        verifier.verify(request, signal).catch(() => undefined);
        for (const type of typesOf(rule, also)) {
          verifier.verifyAttestation(request, type, signal).catch(() => undefined);
        }
      }
    } catch {
      // findEvidence will say so.
    }
  }
}

/** What is asked of a signed digest. */
export interface EvidenceQuestion<Rule extends SignerRule> {
  readonly reference: DigestReference;
  /** For each layer of the policy with an opinion, the rules of it that match. */
  readonly alternatives: readonly (readonly Rule[])[];
  /** What keeps a payload that verified from counting under a rule; null when nothing does. */
  readonly check: (payload: VerifiedPayload, rule: Rule) => SjsError | null;
  /** Attestations that count when the signer made them, beside those that a rule asks for. */
  readonly also?: readonly AttestationType[];
}

/**
 * What satisfies each layer: a signature that counts under one of its rules, and every attestation that this rule asks
 * for, by the same signer. Questions to cosign are asked at once, each one once.
 * @throws SjsError the most telling refusal of all rules.
 */
export function findEvidence<Rule extends SignerRule>(
  { reference, alternatives, check, also = [] }: EvidenceQuestion<Rule>,
  verifier: Questions,
  clock: Clock,
  signal?: AbortSignal,
): Promise<readonly (readonly Evidence<Rule>[])[]> {
  const once = askOnce(verifier);
  const satisfyRule = async (rule: Rule): Promise<Evidence<Rule>> => {
    const [evidence] = await satisfyOne(signersOf(rule, clock), async (signer) => {
      const request = toRequest(reference, signer, rule);
      const attesting = Promise.all(
        typesOf(rule, also).map(async (type) => {
          const asking = once.verifyAttestation(request, type, signal);
          if (rule.attestations.includes(type)) return [[type, await asking]] as const;
          return asking.then((found) => [[type, found]] as const, noneIfMissing);
        }),
      );
      // That nobody signed says more than that nobody attested.
      attesting.catch(() => undefined);
      const payload = firstThatCounts(await once.verify(request, signal), (one) => check(one, rule));
      return { rule, signer, payload, statements: new Map((await attesting).flat()) };
    });
    return evidence as Evidence<Rule>;
  };
  return Promise.all(alternatives.map((rules) => satisfyOne(rules, satisfyRule)));
}

function noneIfMissing(error: unknown): readonly [] {
  if (error instanceof SjsError && error.code === 'ATTESTATION_MISSING') return [];
  throw error;
}

function firstThatCounts(
  payloads: readonly VerifiedPayload[],
  check: (payload: VerifiedPayload) => SjsError | null,
): VerifiedPayload {
  const failures: unknown[] = [];
  for (const payload of payloads) {
    const failure = check(payload);
    if (failure === null) return payload;
    failures.push(failure);
  }
  throw mostHelpful(failures);
}

/** All that succeed of the given, at least one; else the most telling failure. */
async function satisfyOne<T, Found>(
  items: readonly T[],
  attempt: (item: T) => Promise<Found>,
): Promise<readonly Found[]> {
  const results = await Promise.allSettled(items.map(attempt));
  const found = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (found.length > 0) return found;
  throw mostHelpful(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])),
  );
}

/** Who signed. */
export type SignerDescription = Omit<BaseSignature, 'transparencyLog' | 'annotations' | 'rule'>;

/** Who signed, in the form that records and locks keep. */
export function describeSigner({ rule, signer }: Pick<Evidence, 'rule' | 'signer'>): SignerDescription {
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
