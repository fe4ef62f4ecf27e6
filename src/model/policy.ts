import type { SourceLocation } from '../errors.js';
import type { AttestationType } from './attestation-type.js';
import type { OtherBase } from './base-name.js';
import type { Digest } from './digest.js';
import type { Network } from './network.js';
import type { BaseRequest, Permissions, Resources } from './sandbox.js';
import type { Waiver } from './waiver.js';

/** A cosign public key the operator trusts, with the dates between which signatures by it count. */
export interface TrustedKey {
  /** PEM text of the public key. */
  readonly publicKey: string;
  /** RFC 3339; null without a bound. Compared with the time of the check. */
  readonly notBefore: string | null;
  readonly notAfter: string | null;
}

/** Whom a certificate must name: what stands for a key where a certificate authority vouches for the signer. */
export interface KeylessSigner {
  /** The OIDC issuer, exactly. */
  readonly issuer: string;
  /** The subject of the certificate, exactly; null when a pattern says it. */
  readonly identity: string | null;
  /** Anchored at both ends and literal up to the owner; null when the identity is exact. */
  readonly identityPattern: string | null;
  /** PEM of the operator's own certificate authorities; null for those of the trusted root, or of Sigstore. */
  readonly caRoots: string | null;
}

/** Whose images of a repository one policy layer trusts, and how their signature must verify. */
export interface SignerRule {
  /** Repository pattern: `*` matches within one path component, `**` any number of them. */
  readonly repository: string;
  /** Further patterns under which the same images may be fetched; the signed repository stays the one above. */
  readonly mirrors: readonly string[];
  /** Empty when the rule is keyless. */
  readonly keys: readonly TrustedKey[];
  readonly keyless: KeylessSigner | null;
  /** Text of a Sigstore trusted root, whose authorities and logs count instead of public Sigstore's; null for those. */
  readonly trustedRoot: string | null;
  /** Annotations that must be signed, besides those that sjs itself signs. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Attestations of the same digest that must be there, by the same signer. */
  readonly attestations: readonly AttestationType[];
  readonly transparencyLog: 'required' | 'none';
  readonly location: SourceLocation;
}

/** Which bases one policy layer trusts. */
export interface BaseRule extends SignerRule {
  /** Official images carry setuid files; without this a base that has any, or files with capabilities, is refused. */
  readonly allowSetuidFiles: boolean;
}

/** Whose sealed images one policy layer lets run besides one's own, and what it asks of all of them. */
export interface SealedRules {
  /** Absent when the layer does not state `sealed.signers`: it has no opinion. */
  readonly signers?: readonly SignerRule[];
  readonly attestations: readonly AttestationType[];
  /** Seals made here need a signature too. */
  readonly requireSigned: boolean;
}

/** Upper bounds; absent means the layer has no opinion. */
export type PolicyLimits = Partial<
  Resources & { readonly tmpBytes: number; readonly outBytes: number; readonly sourceBytes: number }
>;

/** What a sandbox may declare at all; absent means the layer has no opinion. */
export interface PolicyAllow {
  readonly network?: readonly Network['mode'][];
  /** Patterns of `name:port`, or of `name:port=address`. A private address needs one of the latter, by the operator. */
  readonly egress?: readonly string[];
  /** Patterns of `address:port` on the host. Another address than 127.0.0.1 needs one by the operator. */
  readonly ports?: readonly string[];
  readonly runtimes?: readonly 'runc'[];
  /** Secret names or patterns with `*`. */
  readonly secrets?: readonly string[];
  readonly permissions?: readonly (keyof Permissions)[];
  /** Custom templates, which no sandbox can declare yet. */
  readonly templates?: readonly never[];
}

/** Version floors; a floor not set is a warning only. */
export interface PolicyFloors {
  readonly engine?: string;
  readonly runc?: string;
  readonly cosign?: string;
}

/** One file, or one shipped profile, as it was read. */
export interface PolicyLayer {
  /** `operator` layers grant trust; `profile` ships with sjs; `repository` layers only tighten. */
  readonly origin: 'operator' | 'profile' | 'repository';
  /** Absolute path, for messages. */
  readonly file: string;
  readonly extends: 'restricted' | 'networked' | 'browser' | null;
  /** Operator layers only. */
  readonly defaults: {
    readonly base?: BaseRequest;
    /** For the languages beside Node, and for Node with a browser. */
    readonly bases?: Readonly<Partial<Record<OtherBase, BaseRequest>>>;
    /** What gateways are built over. */
    readonly gateway?: BaseRequest;
    /** Where sealed images are pushed to, `registry/path`; the name of the sandbox is added. */
    readonly repository?: string;
    readonly resources?: Partial<Resources>;
  };
  /** Absent when the layer does not state `bases`. */
  readonly bases?: readonly BaseRule[];
  readonly sealed: SealedRules;
  readonly deniedDigests: readonly Digest[];
  readonly limits: PolicyLimits;
  readonly allow: PolicyAllow;
  readonly floors: PolicyFloors;
  readonly retention: { readonly ageMs?: number; readonly bytes?: number };
  /** Operator layers only. */
  readonly waivers: readonly Waiver[];
  /** Where a dotted path of this layer stands, for "the line in the policy that refuses it". */
  readonly locate: (path: string) => SourceLocation;
}

/** All layers that apply together. They are kept apart so that every refusal can name its line. */
export interface Policy {
  /** Operator layers first, then the profile, then the repository's. At least the profile is there. */
  readonly layers: readonly PolicyLayer[];
  /** Digest over the bytes of all layers, kept in records. */
  readonly digest: Digest;
}

/** How much is kept when no layer says (SPEC §4): 30 days, 5 GiB. */
export const DEFAULT_RETENTION = { ageMs: 30 * 24 * 3_600_000, bytes: 5 * 1024 ** 3 } as const;

/** The rules under which one repository's base must verify: every layer that states `bases` contributes one list. */
export interface TrustRequirement {
  /** The resolved repository, `registry/path`. */
  readonly repository: string;
  /** For each layer with an opinion, the rules of it that match; a signature must satisfy one rule of each. */
  readonly alternatives: readonly (readonly BaseRule[])[];
}

/** The rules under which others' sealed images of one repository may run, with all attestations that any layer asks for. */
export interface SealedRequirement {
  /** `registry/path`; of a seal that was signed without a registry `sjs/<name>`, as its tag begins. */
  readonly repository: string;
  /**
   * For each layer with an opinion, the rules of it that match; a signature must satisfy one rule of each. What a rule
   * says of `attestations` is the union of its own and of every layer's.
   */
  readonly alternatives: readonly (readonly SignerRule[])[];
}
