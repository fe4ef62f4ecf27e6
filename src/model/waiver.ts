import type { SourceLocation } from '../errors.js';

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

/** An operator's word that a sandbox may break a rule for a time. */
export interface Waiver {
  /** Name of the sandbox, or a pattern with `*`. */
  readonly sandbox: string;
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
