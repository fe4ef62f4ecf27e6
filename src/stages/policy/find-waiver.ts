import { basename } from 'node:path';
import type { Policy, PolicyLayer } from '../../model/policy.js';
import { matchesName } from '../../model/repository-pattern.js';
import { showPlace } from '../../model/show-place.js';
import { isWithin, WAIVABLE_RULES, waiverState, type Subject, type UsedWaiver } from '../../model/waiver.js';

/**
 * The waiver that lets a subject break a rule of a layer; null when there is none, or it has ended (SPEC §4). A layer's
 * rules are waived by itself and by the operator's layers before it: the user cannot waive what the machine's policy
 * says. A profile's are waived by the first layer that chose it and those before, or by any when none did. What a
 * repository's layer says, no operator need waive: it can be changed there. The name alone is never enough: its author
 * chose it, and the waiver's scope is what the operator knows.
 * @param rule path of the rule: `limits.memory`
 */
export function findWaiver(
  policy: Policy,
  layer: PolicyLayer,
  rule: string,
  { name, origin, now }: Subject,
): UsedWaiver | null {
  if (name === null || layer.origin === 'repository' || !isWaivable(rule)) return null;
  const operators = policy.layers.filter(({ origin }) => origin === 'operator');
  const owner =
    layer.origin === 'operator'
      ? operators.indexOf(layer)
      : operators.findIndex((one) => one.extends === basename(layer.file, '.yaml'));
  const [waiver] = operators
    .slice(0, owner < 0 ? undefined : owner + 1)
    .flatMap(({ waivers }) => waivers)
    .filter((one) => one.rule === rule && matchesName(one.sandbox, name) && isWithin(one.scope, origin))
    .filter((one) => waiverState(one, now) !== 'expired')
    .sort((one, other) => (one.until < other.until ? 1 : -1));
  if (!waiver) return null;
  return { rule: waiver.rule, until: waiver.until, reason: waiver.reason, from: showPlace(waiver.location) };
}

const isWaivable = (rule: string): boolean => (WAIVABLE_RULES as readonly string[]).includes(rule);

/** Each waiver once, in the order in which they were used. */
export const eachOnce = (waivers: readonly UsedWaiver[]): readonly UsedWaiver[] => [
  ...new Map(waivers.map((waiver) => [`${waiver.rule}\n${waiver.from}`, waiver])).values(),
];

/** A waiver that the operator should look at. */
export interface MentionedWaiver {
  readonly sandbox: string;
  readonly rule: string;
  readonly until: string;
  readonly reason: string;
  readonly state: 'ends soon' | 'expired';
  /** `file:line`. */
  readonly from: string;
}

/** Waivers that have ended, and those that end within a fortnight. */
export const waiversToMention = (policy: Policy, now: number): readonly MentionedWaiver[] =>
  policy.layers.flatMap(({ waivers }) =>
    waivers.flatMap(({ location, sandbox, rule, until, reason }) => {
      const state = waiverState({ until }, now);
      return state === 'valid' ? [] : [{ sandbox, rule, until, reason, state, from: showPlace(location) }];
    }),
  );
