import type { SourceLocation } from '../errors.js';
import type { Digest } from './digest.js';

/**
 * The rules of a policy that can be waived: bounds, what may be declared, denied bases, and the floors of what runs the
 * code. Whose bases and seals are trusted cannot be, nor can the floor of cosign, which that trust stands on.
 */
export const WAIVABLE_RULES = [
  'limits.cpu',
  'limits.memory',
  'limits.pids',
  'limits.files',
  'limits.timeout',
  'limits.output',
  'limits.tmp',
  'limits.out',
  'limits.source',
  'allow.network',
  'allow.egress',
  'allow.ports',
  'allow.runtimes',
  'allow.permissions',
  'allow.secrets',
  'deny.digests',
  'floors.engine',
  'floors.runc',
] as const;

/** Path of a rule in a policy that can be waived. */
export type WaivableRule = (typeof WAIVABLE_RULES)[number];

/** What of a sandbox is the operator's to know: its name is the word of its author. */
export type WaiverScope =
  /** Absolute; its real path where it is there. Of the sandbox.yaml that is built, or that a seal was built from here. */
  | { readonly folder: string }
  /** `registry/path`: of a seal that is there with a signature that the policy's `sealed` trusts. */
  | { readonly repository: string }
  | { readonly seal: Digest };

/** An operator's word that a sandbox may break a rule for a time. */
export interface Waiver {
  /** Name of the sandbox, or a pattern with `*`. */
  readonly sandbox: string;
  readonly scope: WaiverScope;
  readonly rule: WaivableRule;
  /** The last day on which it counts, in UTC: `2027-01-31`. */
  readonly until: string;
  readonly reason: string;
  readonly location: SourceLocation;
}

const DAY_MS = 24 * 3_600_000;

/** When a waiver ends, in milliseconds since the epoch; NaN for what is no date, as 30 February. */
export function waiverEnd(until: string): number {
  const begin = Date.parse(`${until}T00:00:00Z`);
  return !Number.isNaN(begin) && new Date(begin).toISOString().startsWith(until) ? begin + DAY_MS : NaN;
}

/** How a waiver stands at a time: those that end within a fortnight are said, so that nobody is surprised. */
export function waiverState(
  { until }: Pick<Waiver, 'until'>,
  now: number,
): 'valid' | 'ends soon' | 'expired' {
  const end = waiverEnd(until);
  if (!(now < end)) return 'expired';
  return end - now <= 14 * DAY_MS ? 'ends soon' : 'valid';
}

/** A waiver that let something through, as plan, build, run and record say it. */
export interface UsedWaiver {
  readonly rule: WaivableRule;
  readonly until: string;
  readonly reason: string;
  /** `file:line` of the waiver. */
  readonly from: string;
}

/** Where a sandbox comes from, as far as the operator can know it; nothing of it is its author's word. */
export interface Origin {
  /** Real path of the folder of the sandbox.yaml; null where nobody knows one. */
  readonly folder: string | null;
  /** `registry/path` where a signature of the seal was verified that the policy trusts. */
  readonly repositories: readonly string[];
  /** The seal itself; null for what is not sealed yet. */
  readonly seal: Digest | null;
}

/** What is judged by a policy, and when: waivers are for sandboxes from somewhere, and end. */
export interface Subject {
  /** Null for what is no sandbox. */
  readonly name: string | null;
  readonly origin: Origin;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is no sandbox: nothing is waived for it. */
export const noSandbox = (now: number): Subject => ({
  name: null,
  origin: { folder: null, repositories: [], seal: null },
  now,
});

/** Whether a waiver's scope is where something comes from. */
export function isWithin(scope: WaiverScope, { folder, repositories, seal }: Origin): boolean {
  if ('folder' in scope) return scope.folder === folder;
  if ('repository' in scope) return repositories.includes(scope.repository);
  return scope.seal === seal;
}

/** A waiver's scope in words. */
export function describeScope(scope: WaiverScope): string {
  if ('folder' in scope) return `of ${scope.folder}`;
  return 'repository' in scope ? `from ${scope.repository}` : `of the seal ${scope.seal}`;
}

/** A used waiver in one line. */
export const describeUsedWaiver = ({ rule, until, reason, from }: UsedWaiver): string =>
  `${rule} is waived until ${until}: ${reason} (${from})`;
