import type { AttestationType } from '../../model/attestation-type.js';
import { cleanText } from '../../model/clean-text.js';
import { explainIdentityPattern } from '../../model/identity-pattern.js';
import { show, type Report } from '../../model/schema-check.js';
import { readCaRoots, readTrustedRoot } from '../../model/trusted-root.js';

/** `verify` of a base or of a signer in a policy file, as it is written (SPEC §4). */
export interface VerifyFile {
  readonly keys?: readonly {
    readonly publicKey: string;
    readonly notBefore?: string;
    readonly notAfter?: string;
  }[];
  readonly keyless?: {
    readonly issuer: string;
    readonly identity?: string;
    readonly identityPattern?: string;
    readonly caRoots?: string;
  };
  readonly trustedRoot?: string;
  readonly attestations?: readonly AttestationType[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly transparencyLog?: 'required' | 'none';
}

/** Exactly one kind of signer, and trust that both generations of cosign can be told without falling back to Sigstore's. */
export function checkVerify(verify: VerifyFile, path: string, report: Report): void {
  const { keys = [], keyless, trustedRoot, transparencyLog = 'required' } = verify;
  for (const [which, key] of keys.entries()) checkDates(key, `${path}.keys.${which}`, report);
  if (verify.keys === undefined && keyless === undefined)
    report(path, 'names nobody who signs', 'add keys: or keyless:');
  if (verify.keys !== undefined && keyless !== undefined)
    report(path, 'keys and keyless exclude each other', 'make two rules of it: either counts');
  if (keyless) checkKeyless(keyless, `${path}.keyless`, report);
  if (keyless && keyless.caRoots === undefined && transparencyLog === 'none') {
    report(
      `${path}.transparencyLog`,
      'only the log shows that a certificate of public Sigstore was valid when it signed',
      'write required, or name your own authorities in keyless.caRoots',
    );
  }
  if (keyless?.caRoots !== undefined && trustedRoot === undefined && transparencyLog === 'required') {
    report(
      `${path}.transparencyLog`,
      'with your own caRoots the log must be your own too, and none is named',
      'name it in trustedRoot, or write none',
    );
  }
  if (trustedRoot === undefined) return;
  if (transparencyLog === 'none') report(`${path}.trustedRoot`, 'has no use without the log', 'remove it');
  const missing = explainTrustedRoot(trustedRoot, keyless !== undefined && keyless.caRoots === undefined);
  if (missing !== null)
    report(`${path}.trustedRoot`, missing, 'paste the text that cosign trusted-root create wrote');
}

function checkKeyless(keyless: NonNullable<VerifyFile['keyless']>, path: string, report: Report): void {
  const { identity, identityPattern, caRoots } = keyless;
  if (identity === undefined && identityPattern === undefined)
    report(path, 'names no identity: every user of the issuer would do', 'add identity:');
  if (identity !== undefined && identityPattern !== undefined)
    report(path, 'identity and identityPattern exclude each other', 'keep one of them');
  const wrong = identityPattern === undefined ? null : explainIdentityPattern(identityPattern);
  if (wrong !== null) report(`${path}.identityPattern`, wrong, 'write the identity exactly, under identity:');
  try {
    if (caRoots !== undefined) readCaRoots(caRoots);
  } catch (cause) {
    report(`${path}.caRoots`, messageOf(cause), 'paste the PEM of your certificate authorities');
  }
}

/** What the root lacks of what the rule needs, or null; what it has must be readable, whenever it is valid. */
function explainTrustedRoot(text: string, needsAuthorities: boolean): string | null {
  try {
    const { roots, logs, certificateLogs } = readTrustedRoot(text);
    if (logs.length === 0) return 'names no transparency log (tlogs)';
    if (!needsAuthorities) return null;
    if (roots.length === 0) return 'names no certificate authority (certificateAuthorities)';
    return certificateLogs.length === 0
      ? 'names no log of certificates (ctlogs): without one, name the authorities in keyless.caRoots'
      : null;
  } catch (cause) {
    return `is no trusted root: ${messageOf(cause)}`;
  }
}

const messageOf = (cause: unknown): string =>
  cleanText(cause instanceof Error ? cause.message : String(cause));

/** Dates that are none would otherwise come to light when a base is verified. */
function checkDates(key: { notBefore?: string; notAfter?: string }, path: string, report: Report): void {
  const wrong = (['notBefore', 'notAfter'] as const).filter((bound) => {
    const date = key[bound];
    return date !== undefined && !isDate(date);
  });
  for (const bound of wrong) report(`${path}.${bound}`, `found ${show(key[bound])}, which is no date`);
  if (wrong.length > 0 || key.notBefore === undefined || key.notAfter === undefined) return;
  if (Date.parse(key.notBefore) > Date.parse(key.notAfter))
    report(`${path}.notAfter`, 'is before notBefore, so the key is never valid', 'swap the two');
}

/** Date.parse turns 30 February into 1 March. */
function isDate(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text.replace('Z', '.000Z');
}
