import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import type { SealedRequirement, SignerRule } from '../../model/policy.js';
import type { ProvenSigner, SealProof } from '../../model/seal-proof.js';
import type { Clock } from '../../ports/clock.js';
import { checkAnnotations, checkRepository } from './check-payload.js';
import { mostHelpful } from './most-helpful.js';
import { fingerprintOf, usableKeys } from './trusted-keys.js';
import { toSealError, whatRuleSays } from './verify-sealed.js';

/**
 * Compares what was verified once with what the policy asks for now: each layer must have a rule that trusts one of the
 * proven signers today, under no weaker terms.
 * @param name of the image, for messages
 * @throws SjsError `SEAL_UNTRUSTED`, `SEAL_KEY_OUT_OF_DATE`, `ATTESTATION_MISSING`, `SEAL_REPOSITORY_MISMATCH`.
 */
export function checkProof(
  proof: SealProof,
  requirement: SealedRequirement,
  name: string,
  clock: Clock,
): void {
  for (const rules of requirement.alternatives) {
    const refusals = rules.map((rule) => refusalOf(proof, rule, name, clock));
    if (refusals.some((refusal) => refusal === null)) continue;
    throw toSealError(mostHelpful(refusals), name);
  }
}

/** What keeps a proof from counting under a rule, or null. */
function refusalOf(proof: SealProof, rule: SignerRule, name: string, clock: Clock): unknown {
  const meant = proof.signers.filter((signer) => isMeant(signer, rule));
  if (meant.length === 0) {
    return new SjsError('BASE_KEY_MISMATCH', `the policy does not trust who signed ${name}`, {
      cause: `signed by ${proof.signers.map((signer) => signer.name).join(', ')}`,
      location: rule.location,
    });
  }
  const refusals = meant.map((signer) => {
    try {
      return refusalOfSigner(signer, proof, rule, name, clock);
    } catch (refusal) {
      return refusal;
    }
  });
  return refusals.includes(null) ? null : mostHelpful(refusals);
}

function refusalOfSigner(
  signer: ProvenSigner,
  { repository, digest }: SealProof,
  rule: SignerRule,
  name: string,
  clock: Clock,
): SjsError | null {
  const { annotations, signedRepository, keyFingerprint } = signer;
  if (rule.keyless === null) {
    const usable = usableKeys(rule, clock.now()).map(({ publicKey }) => fingerprintOf(publicKey));
    if (keyFingerprint === null || !usable.includes(keyFingerprint)) {
      return new SjsError('BASE_KEY_OUT_OF_DATE', `the key that signed ${name} is not valid now`, {
        location: rule.location,
      });
    }
  }
  const missing = rule.attestations.find((type) => !signer.attestations.includes(type));
  if (missing !== undefined) {
    return new SjsError('ATTESTATION_MISSING', `${name} was verified without the attestation ${missing}`, {
      location: rule.location,
      next: 'verify it with all that the policy asks for: sjs pull takes its reference',
    });
  }
  const payload = { annotations, dockerReference: signedRepository };
  // A statement names the seal, and no place.
  const misplaced = digest === null ? null : checkRepository(payload, rule, repository, name);
  return misplaced ?? checkAnnotations(signer, rule, name);
}

/** Whether a rule is about this signer, on the terms on which the signature was verified or on weaker ones. */
function isMeant(signer: ProvenSigner, rule: SignerRule): boolean {
  const said = whatRuleSays(rule);
  const isLogged = said.transparencyLog === 'none' || signer.transparencyLog === 'required';
  if (!isLogged || said.trustedRoot !== signer.trustedRoot) return false;
  if (rule.keyless) return canonicalJson(said.keyless) === canonicalJson(signer.keyless);
  return rule.keys.some(({ publicKey }) => fingerprintOf(publicKey) === signer.keyFingerprint);
}
