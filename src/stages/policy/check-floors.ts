import semver from 'semver';
import { SjsError } from '../../errors.js';
import type { Policy, PolicyFloors } from '../../model/policy.js';
import { showPlace } from '../../model/show-place.js';
import type { Subject, UsedWaiver } from '../../model/waiver.js';
import { eachOnce, findWaiver } from './find-waiver.js';

/**
 * Refuses versions below the floors that the policy sets. A version that cannot be read is below every floor.
 * @param versions what was found; only components that are named here are checked
 * @returns the waivers without which they would have been
 * @throws SjsError `POLICY_VIOLATION` naming the version, the floor and the line of the policy.
 */
export function checkFloors(
  policy: Policy,
  versions: Readonly<Partial<Record<keyof PolicyFloors, string | null>>>,
  subject: Subject,
): readonly UsedWaiver[] {
  const waived: UsedWaiver[] = [];
  const problems = policy.layers.flatMap((layer) =>
    Object.entries(layer.floors).flatMap(([component, floor]: [string, string]) => {
      if (!(component in versions)) return [];
      const found = versions[component as keyof PolicyFloors] ?? null;
      const version = semver.coerce(found);
      const lowest = semver.coerce(floor);
      if (version && lowest && semver.gte(version, lowest)) return [];
      const waiver = findWaiver(policy, layer, `floors.${component}`, subject);
      if (waiver) {
        waived.push(waiver);
        return [];
      }
      const location = layer.locate(`floors.${component}`);
      return [
        {
          message: `${component} is ${found ?? 'of unknown version'}; ${showPlace(location)} asks for ${floor} or later`,
          location,
          policy: location,
        },
      ];
    }),
  );
  if (problems.length === 0) return eachOnce(waived);
  throw new SjsError('POLICY_VIOLATION', problems.map((problem) => problem.message).join('; '), {
    problems,
    next: 'update it, or ask the operator to lower the floor',
  });
}
