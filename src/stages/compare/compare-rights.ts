import { flattenLeaves } from '../../model/flatten.js';
import { formatEgress, formatPort } from '../../model/network.js';
import type { SealedPlan } from '../../model/run-plan.js';

/** One right or limit that two plans have otherwise. */
export interface RightChange {
  /** Dotted path in the sealed plan: `resources.memoryBytes`. */
  readonly right: string;
  readonly from: unknown;
  readonly to: unknown;
  /** More than before: what a reviewer has to look at. What cannot be compared, as another seccomp profile, counts as more. */
  readonly widened: boolean;
  /** Less than before. A list from which one went and to which another came is both. */
  readonly tightened: boolean;
}

/** The differences between two sealed plans, leaf by leaf. */
export function compareRights(before: SealedPlan, after: SealedPlan): readonly RightChange[] {
  const [from, to] = [flattenLeaves(inWords(before)), flattenLeaves(inWords(after))];
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((right) => JSON.stringify(from.get(right)) !== JSON.stringify(to.get(right)))
    .map((right) => {
      const [old, now] = [from.get(right), to.get(right)];
      const compare = right.startsWith('modules.') ? isLonger : isWider;
      const widened = isRight(right) && compare(old, now);
      return {
        right,
        from: old ?? null,
        to: now ?? null,
        widened,
        tightened: isRight(right) && (Array.isArray(now ?? old) ? compare(now, old) : !widened),
      };
    });
}

/**
 * What a frozen clock shows is neither more nor less, and neither is another language: what that can do are the permissions.
 * What calls a program's functions can do no more than it.
 */
const isRight = (path: string): boolean => !/^(?:determinism|language|call)/.test(path);

/** Declared traffic as it is written: lists of texts can be compared. */
function inWords(plan: SealedPlan): object {
  const { network } = plan;
  if (network.mode === 'none') return plan;
  const [ports, egress] = [network.ports.map(formatPort), network.egress.map(formatEgress)];
  return { ...plan, network: { mode: network.mode, ports, egress } };
}

/** Of a closed list: where there is none, everything is allowed. */
const isLonger = (from: unknown, to: unknown): boolean =>
  Array.isArray(from) && (!Array.isArray(to) || to.some((item) => !from.includes(item)));

function isWider(from: unknown, to: unknown): boolean {
  if (typeof to === 'number') return typeof from !== 'number' || to > from;
  if (typeof to === 'boolean') return to;
  if (Array.isArray(to)) return to.some((item) => !Array.isArray(from) || !from.includes(item));
  return to !== null && to !== undefined && to !== 'none';
}
