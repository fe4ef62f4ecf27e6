import { SjsError } from '../../errors.js';
import type { Policy, TrustRequirement } from '../../model/policy.js';
import { matchesRepository } from '../../model/repository-pattern.js';

/**
 * The rules a base of this repository must satisfy: one list for each layer that states `bases`.
 * @param repository `registry/path`
 * @throws SjsError `BASE_UNTRUSTED` when a layer with an opinion has no rule for it, or no operator layer has one.
 */
export function trustRequirement(policy: Policy, repository: string): TrustRequirement {
  const opinions = policy.layers.flatMap((layer) => {
    if (!layer.bases) return [];
    const rules = layer.bases.filter((rule) =>
      [rule.repository, ...rule.mirrors].some((pattern) => matchesRepository(pattern, repository)),
    );
    return [{ layer, rules }];
  });
  const silent = opinions.find(({ rules }) => rules.length === 0);
  if (silent) {
    const location = silent.layer.locate('bases');
    throw new SjsError('BASE_UNTRUSTED', `${location.file} trusts no base ${repository}`, {
      location,
      next: `add a rule for ${repository} to its bases:, or import the base with sjs base import … --sign-key KEY --trust`,
    });
  }
  if (!opinions.some(({ layer }) => layer.origin === 'operator')) {
    throw new SjsError('BASE_UNTRUSTED', `no policy of the operator trusts ${repository}`, {
      next: 'import it with sjs base import … --sign-key KEY --trust, or add a rule to bases: of ~/.config/sjs/policy.yaml',
    });
  }
  return { repository, alternatives: opinions.map(({ rules }) => rules) };
}
