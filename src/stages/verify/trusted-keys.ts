import { createPublicKey } from 'node:crypto';
import { SjsError } from '../../errors.js';
import { sha256, type Digest } from '../../model/digest.js';
import type { SignerRule, TrustedKey } from '../../model/policy.js';

/**
 * The rule's keys whose dates include the time, in milliseconds since the epoch. Bounds count as inside.
 * @throws SjsError `BASE_KEY_OUT_OF_DATE` when there is none; `POLICY_INVALID` for a key or date that cannot be read.
 */
export function usableKeys(rule: SignerRule, now: number): readonly TrustedKey[] {
  const usable = rule.keys.filter((key) => {
    checkReadable(key, rule);
    return now >= timeOf(key.notBefore, -Infinity, rule) && now <= timeOf(key.notAfter, Infinity, rule);
  });
  if (usable.length > 0) return usable;
  const dates = rule.keys
    .map(({ notBefore, notAfter }) => `${notBefore ?? '…'} to ${notAfter ?? '…'}`)
    .join(', ');
  throw new SjsError(
    'BASE_KEY_OUT_OF_DATE',
    `no key that the policy trusts for ${rule.repository} is valid at ${new Date(now).toISOString()}`,
    {
      cause: `valid: ${dates || 'no keys'}`,
      next: 'sign the base with a key in force and trust that, or set the clock of this machine right',
      location: rule.location,
    },
  );
}

/** sha256 of the key's DER (SubjectPublicKeyInfo): the same for every way to write its PEM. */
export function fingerprintOf(publicKey: string): Digest {
  return sha256(createPublicKey(publicKey).export({ type: 'spki', format: 'der' }));
}

function checkReadable({ publicKey }: TrustedKey, rule: SignerRule): void {
  try {
    if (!/^\s*-----BEGIN PUBLIC KEY-----\s/.test(publicKey)) throw new Error('not a PEM public key');
    fingerprintOf(publicKey);
  } catch (cause) {
    throw new SjsError(
      'POLICY_INVALID',
      `a key that the policy trusts for ${rule.repository} cannot be read`,
      {
        cause,
        next: 'paste the text of the .pub file that cosign made',
        location: rule.location,
      },
    );
  }
}

function timeOf(date: string | null, otherwise: number, rule: SignerRule): number {
  if (date === null) return otherwise;
  const time = Date.parse(date);
  if (!Number.isNaN(time)) return time;
  throw new SjsError('POLICY_INVALID', `${JSON.stringify(date)} is not a date`, {
    next: 'write it as 2026-01-31T00:00:00Z',
    location: rule.location,
  });
}
