import type { Digest } from './digest.js';
import type { KeylessSigner } from './policy.js';
import type { Repository } from './reference.js';
import type { RuntimeConfig } from './runtime-config.js';

/** Operating system and architecture in OCI's words. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** A base resolved to content, not yet verified. Every digest was computed from the bytes the registry sent. */
export interface ResolvedBase {
  readonly repository: Repository;
  /** The version whose tag was resolved; null for a pin by digest. */
  readonly version: string | null;
  /** Digest that tag or pin names; an index, or the manifest itself. The one that is signed. */
  readonly digest: Digest;
  /** Digest of the index; null when the tag names a manifest. */
  readonly indexDigest: Digest | null;
  /** Digest of the platform's manifest: what is built from. */
  readonly manifestDigest: Digest;
  readonly platform: Platform;
  readonly config: RuntimeConfig;
  readonly diffIds: readonly Digest[];
  /** Sum of the compressed layers. */
  readonly compressedBytes: number;
}

/** Who signed a base, and what was signed with it. */
export interface BaseSignature {
  /** The fingerprint of the key, or `IDENTITY (ISSUER)` of the certificate as the policy writes them. */
  readonly signer: string;
  /** sha256 of the public key's DER (SubjectPublicKeyInfo); null when a certificate named the signer. */
  readonly keyFingerprint: Digest | null;
  /** PEM of the key; null likewise. */
  readonly publicKey: string | null;
  /** Whom the certificate had to name; null when a key is trusted. */
  readonly keyless: (Omit<KeylessSigner, 'caRoots'> & { readonly hasOwnRoots: boolean }) | null;
  /** Text of the Sigstore trusted root with all that counted; null for public Sigstore's, or for a key alone. */
  readonly trustedRoot: string | null;
  /** Whether the signature had to be in the transparency log. */
  readonly transparencyLog: 'required' | 'none';
  readonly annotations: Readonly<Record<string, string>>;
  /** File and line of the policy rule that trusts it. */
  readonly rule: string;
}

declare const verified: unique symbol;

/** A base whose signature holds under the policy. Only `stages/verify` makes one. */
export type VerifiedBase = ResolvedBase & {
  readonly signature: BaseSignature;
  /** The version that the signature states, else the tag's; null when neither says. */
  readonly signedVersion: string | null;
  readonly allowSetuidFiles: boolean;
  readonly [verified]: true;
};

/** What must be true of a base's file system for it to be sealed over (ATTACKS D16, S06). */
export interface RootfsFindings {
  /** Paths of setuid and setgid files. */
  readonly setuidFiles: readonly string[];
  /** Paths of files that bring capabilities with them, as setuid files bring a user. */
  readonly capabilityFiles: readonly string[];
  /** World-writable folders without the sticky bit. */
  readonly worldWritableFolders: readonly string[];
  /** /dev, /proc, /sys, /app, /in, /tmp, /out and /.sjs entries that are not plain folders. */
  readonly notPlainFolders: readonly string[];
}

/** Whether a value, as a cache gives it back, has everything that a base is judged by. */
export function isFindings(value: unknown): value is RootfsFindings {
  const found = (value ?? {}) as Partial<Record<keyof RootfsFindings, unknown>>;
  const { setuidFiles, capabilityFiles, worldWritableFolders, notPlainFolders } = found;
  return [setuidFiles, capabilityFiles, worldWritableFolders, notPlainFolders].every(
    (list) => Array.isArray(list) && list.every((path) => typeof path === 'string'),
  );
}
