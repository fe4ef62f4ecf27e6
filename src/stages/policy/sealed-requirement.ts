import { SjsError, type SourceLocation } from '../../errors.js';
import type { Policy, SealedRequirement, SignerRule } from '../../model/policy.js';
import { matchesRepository } from '../../model/repository-pattern.js';

/**
 * The rules that the signature of a sealed image must satisfy: one list for each layer that states `sealed.signers`
 * (SPEC §4), each rule with every attestation that any layer asks for.
 * @param repository `registry/path`; of a seal that was signed without a registry `sjs/<name>`
 * @throws SjsError `SEAL_UNTRUSTED` when a layer with an opinion has no rule for it, or no operator layer has one.
 */
export function sealedRequirement(policy: Policy, repository: string): SealedRequirement {
  const everywhere = policy.layers.flatMap(({ sealed }) => sealed.attestations);
  const withAll = (rule: SignerRule): SignerRule => ({
    ...rule,
    attestations: [...new Set([...rule.attestations, ...everywhere])],
  });
  const opinions = policy.layers.flatMap((layer) => {
    const rules = layer.sealed.signers?.filter((rule) =>
      [rule.repository, ...rule.mirrors].some((pattern) => matchesRepository(pattern, repository)),
    );
    return rules ? [{ layer, rules: rules.map(withAll) }] : [];
  });
  const silent = opinions.find(({ rules }) => rules.length === 0);
  if (silent) {
    throw new SjsError('SEAL_UNTRUSTED', `${silent.layer.file} trusts nobody's seals of ${repository}`, {
      location: silent.layer.locate('sealed.signers'),
      next: `add a rule for ${repository} to its sealed.signers, or build it here`,
    });
  }
  if (!opinions.some(({ layer }) => layer.origin === 'operator')) {
    throw new SjsError('SEAL_UNTRUSTED', `no policy of the operator trusts seals of ${repository}`, {
      next: 'add a rule to sealed.signers of ~/.config/sjs/policy.yaml, or build it here',
    });
  }
  return { repository, alternatives: opinions.map(({ rules }) => rules) };
}

/** Where a policy asks that seals made here be signed too before they run; null when none does. */
export function requiresSigned(policy: Policy): SourceLocation | null {
  const layer = policy.layers.find(({ sealed }) => sealed.requireSigned);
  return layer?.locate('sealed.requireSigned') ?? null;
}
