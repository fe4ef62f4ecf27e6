import type { Digest } from './digest.js';

/** `sandbox.lock`: what a sandbox.yaml resolved to. An input like any other: all of it is verified anew. */
export interface Lock {
  readonly lockVersion: 1;
  /** Format version of the seal it led to. */
  readonly formatVersion: number;
  readonly base: {
    /** `registry/path` */
    readonly image: string;
    readonly version: string | null;
    /** What the tag named: an index or a manifest; the digest that is signed. */
    readonly digest: Digest;
    /** Manifest digest by platform, as `linux/amd64`. */
    readonly manifests: Readonly<Record<string, Digest>>;
    /** Fingerprint of the key that signed it, or `IDENTITY (ISSUER)` of the certificate. */
    readonly signer: string;
  };
  readonly template: { readonly name: string; readonly digest: Digest };
  /** Dependencies come later. */
  readonly packages: readonly never[];
}
