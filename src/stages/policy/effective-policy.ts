import { SjsError, type SourceLocation } from '../../errors.js';
import type { BaseName } from '../../model/base-name.js';
import type { ResolvedBase } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import { DEFAULT_RETENTION, type Policy, type PolicyLimits } from '../../model/policy.js';
import { formatRepository } from '../../model/reference.js';
import type { BaseRequest, Resources } from '../../model/sandbox.js';
import { showPlace } from '../../model/show-place.js';
import { SOURCE_LIMITS } from '../../model/source-tree.js';
import type { Subject, UsedWaiver } from '../../model/waiver.js';
import { findWaiver } from './find-waiver.js';

/** The bounds that hold: of each resource the smallest that any layer states. */
export function effectiveLimits(policy: Policy): PolicyLimits {
  const limits: Record<string, number> = {};
  for (const layer of policy.layers) {
    for (const [key, value] of Object.entries(layer.limits))
      limits[key] = Math.min(limits[key] ?? Infinity, value);
  }
  return limits;
}

/** How large a source may be, with the line of the policy that says so. */
export interface SourceBound {
  readonly bytes: number;
  /** Null: no layer says. */
  readonly policy: SourceLocation | null;
  /** What a source beyond `bytes` needs; absent where no waiver has a part in it. */
  readonly waiver: { readonly aboveBytes: number; readonly used: UsedWaiver } | null;
}

/** The bound of a subject's source: the smallest that any layer states and no waiver lifts. */
export function sourceBound(policy: Policy, subject: Subject, otherwise: number): SourceBound {
  const stated = policy.layers
    .flatMap((layer) => {
      const bytes = layer.limits.sourceBytes;
      const used = findWaiver(policy, layer, 'limits.source', subject);
      return bytes === undefined ? [] : [{ bytes, used, place: layer.locate('limits.source') }];
    })
    .sort((one, other) => one.bytes - other.bytes);
  const holds = stated.find(({ used }) => used === null);
  const [smallest] = stated;
  return {
    bytes: holds?.bytes ?? (smallest ? SOURCE_LIMITS.mostBytes : otherwise),
    policy: holds?.place ?? null,
    waiver: smallest?.used ? { aboveBytes: smallest.bytes, used: smallest.used } : null,
  };
}

/** Where a policy states the default base of this name. */
export const defaultBaseKey = (name: BaseName): string =>
  name === 'node' ? 'defaults.base' : `defaults.bases.${name}`;

/** The base for sandboxes that name none: the last operator layer that states one of this name decides. */
export function defaultBase(policy: Policy, name: BaseName): BaseRequest | null {
  if (name === 'node') return lastDefault(policy, 'base');
  const stating = policy.layers.findLast(
    ({ origin, defaults }) => origin === 'operator' && defaults.bases?.[name],
  );
  return stating?.defaults.bases?.[name] ?? null;
}

/** What gateways are built over: the last operator layer that states `gateway` decides, else the default base. */
export function gatewayBase(policy: Policy): BaseRequest | null {
  return lastDefault(policy, 'gateway') ?? defaultBase(policy, 'node');
}

/** Where sealed images are pushed to: the last operator layer that states `repository` decides; null when none does. */
export function pushRepository(policy: Policy): string | null {
  const layer = policy.layers.findLast(
    ({ origin, defaults }) => origin === 'operator' && defaults.repository !== undefined,
  );
  return layer?.defaults.repository ?? null;
}

function lastDefault(policy: Policy, key: 'base' | 'gateway'): BaseRequest | null {
  const layer = policy.layers.findLast(({ origin, defaults }) => origin === 'operator' && defaults[key]);
  return layer?.defaults[key] ?? null;
}

/** Limits for sandboxes that state none: later operator layers over earlier ones. */
export function defaultResources(policy: Policy): Partial<Resources> {
  return Object.assign(
    {},
    ...policy.layers.filter((layer) => layer.origin === 'operator').map((layer) => layer.defaults.resources),
  ) as Partial<Resources>;
}

/** Where layers deny one of the digests, and the waivers that let it pass all the same. */
export function findDenied(
  policy: Policy,
  digests: readonly Digest[],
  subject: Subject,
): {
  readonly refusals: readonly { readonly location: SourceLocation }[];
  readonly waivers: readonly UsedWaiver[];
} {
  const found = policy.layers.flatMap((layer) => {
    const at = layer.deniedDigests.findIndex((denied) => digests.includes(denied));
    if (at < 0) return [];
    const waiver = findWaiver(policy, layer, 'deny.digests', subject);
    return [{ location: layer.locate(`deny.digests.${at}`), waiver }];
  });
  return {
    refusals: found.filter(({ waiver }) => waiver === null),
    waivers: found.flatMap(({ waiver }) => waiver ?? []),
  };
}

/** Whether any layer denies digests at all to the subject. */
export function deniesAny(policy: Policy, subject: Subject): boolean {
  return policy.layers.some(
    (layer) => layer.deniedDigests.length > 0 && findWaiver(policy, layer, 'deny.digests', subject) === null,
  );
}

/** How long and how much is kept: the strictest of what layers state, else the defaults. */
export function effectiveRetention(policy: Policy): { readonly ageMs: number; readonly bytes: number } {
  const strictest = (key: 'ageMs' | 'bytes'): number => {
    const stated = policy.layers.flatMap((layer) => layer.retention[key] ?? []);
    return stated.length === 0 ? DEFAULT_RETENTION[key] : Math.min(...stated);
  };
  return { ageMs: strictest('ageMs'), bytes: strictest('bytes') };
}

/**
 * Refuses a resolved base whose index or manifest is denied to the subject.
 * @returns the waivers without which it would have been
 * @throws SjsError `BASE_DENIED` with the line of every policy that denies it
 */
export function refuseDenied(policy: Policy, base: ResolvedBase, subject: Subject): readonly UsedWaiver[] {
  const { refusals, waivers } = findDenied(policy, [base.digest, base.manifestDigest], subject);
  const [first] = refusals;
  if (!first) return waivers;
  throw new SjsError(
    'BASE_DENIED',
    `${formatRepository(base.repository)}@${base.digest} is on the policy's list of denied digests (${refusals.map(({ location }) => showPlace(location)).join(', ')})`,
    { next: 'use another version of the base', location: first.location },
  );
}
