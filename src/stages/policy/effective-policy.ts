import { SjsError } from '../../errors.js';
import type { ResolvedBase } from '../../model/base.js';
import type { Digest } from '../../model/digest.js';
import { DEFAULT_RETENTION, type Policy, type PolicyLimits } from '../../model/policy.js';
import { formatRepository } from '../../model/reference.js';
import type { BaseRequest, Resources } from '../../model/sandbox.js';

/** The bounds that hold: of each resource the smallest that any layer states. */
export function effectiveLimits(policy: Policy): PolicyLimits {
  const limits: Record<string, number> = {};
  for (const layer of policy.layers) {
    for (const [key, value] of Object.entries(layer.limits))
      limits[key] = Math.min(limits[key] ?? Infinity, value);
  }
  return limits;
}

/** The base for sandboxes that name none: the last operator layer that states one decides. */
export function defaultBase(policy: Policy): BaseRequest | null {
  return lastDefault(policy, 'base');
}

/** What gateways are built over: the last operator layer that states `gateway` decides, else the default base. */
export function gatewayBase(policy: Policy): BaseRequest | null {
  return lastDefault(policy, 'gateway') ?? defaultBase(policy);
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

/** Whether any layer denies the digest. */
export function isDenied(policy: Policy, digest: Digest): boolean {
  return policy.layers.some((layer) => layer.deniedDigests.includes(digest));
}

/** Whether any layer denies digests at all. */
export function deniesAny(policy: Policy): boolean {
  return policy.layers.some((layer) => layer.deniedDigests.length > 0);
}

/** How long and how much is kept: the strictest of what layers state, else the defaults. */
export function effectiveRetention(policy: Policy): { readonly ageMs: number; readonly bytes: number } {
  const strictest = (key: 'ageMs' | 'bytes'): number => {
    const stated = policy.layers.flatMap((layer) => layer.retention[key] ?? []);
    return stated.length === 0 ? DEFAULT_RETENTION[key] : Math.min(...stated);
  };
  return { ageMs: strictest('ageMs'), bytes: strictest('bytes') };
}

/** Refuses a resolved base whose index or manifest is denied. Throws `BASE_DENIED`. */
export function refuseDenied(policy: Policy, base: ResolvedBase): void {
  if (![base.digest, base.manifestDigest].some((digest) => isDenied(policy, digest))) return;
  throw new SjsError(
    'BASE_DENIED',
    `${formatRepository(base.repository)}@${base.digest} is on the policy's list of denied digests`,
    { next: 'use another version of the base' },
  );
}
