import { dirname, resolve } from 'node:path';
import type { AttestationType } from '../../model/attestation-type.js';
import type { OtherBase } from '../../model/base-name.js';
import { toBaseRequest, toResources, type BaseFile, type ResourcesFile } from '../../model/base-file.js';
import type { Digest } from '../../model/digest.js';
import type {
  BaseRule,
  KeylessSigner,
  PolicyAllow,
  PolicyFloors,
  PolicyLayer,
  PolicyLimits,
  SignerRule,
} from '../../model/policy.js';
import { readQuantity } from '../../model/schema-check.js';
import type { Waiver, WaiverScope } from '../../model/waiver.js';
import type { YamlDocument } from '../../model/yaml-document.js';
import type { VerifyFile } from './check-verify.js';

interface SignerFile {
  readonly repository: string;
  readonly mirrors?: readonly string[];
  readonly verify: VerifyFile;
}

/** A waiver as it is written. */
export interface WaiverFile extends Omit<Waiver, 'scope' | 'location'> {
  readonly folder?: string;
  readonly repository?: string;
  readonly seal?: Digest;
}

/** A policy file that fits the schema. */
export interface PolicyFile {
  readonly extends?: PolicyLayer['extends'];
  readonly defaults?: {
    readonly base?: BaseFile;
    readonly bases?: Readonly<Partial<Record<OtherBase, BaseFile>>>;
    readonly gateway?: BaseFile;
    readonly repository?: string;
    readonly resources?: ResourcesFile;
  };
  readonly bases?: readonly (SignerFile & { readonly allowSetuidFiles?: boolean })[];
  readonly sealed?: {
    readonly signers?: readonly SignerFile[];
    readonly attestations?: readonly AttestationType[];
    readonly requireSigned?: boolean;
  };
  readonly deny?: { readonly digests?: readonly Digest[] };
  readonly limits?: ResourcesFile & Partial<Record<'tmp' | 'out' | 'source', string | number>>;
  readonly allow?: PolicyAllow;
  readonly floors?: PolicyFloors;
  readonly retention?: { readonly age?: string; readonly size?: string | number };
  readonly waivers?: readonly WaiverFile[];
}

const mapBases = (bases: NonNullable<NonNullable<PolicyFile['defaults']>['bases']>) =>
  Object.fromEntries(
    Object.entries(bases).flatMap(([language, base]) =>
      language.startsWith('x-') ? [] : [[language, toBaseRequest(base)] as const],
    ),
  );

/** A layer of the policy from a file in which everything was found right. */
export function toLayer(document: YamlDocument, origin: PolicyLayer['origin']): PolicyLayer {
  const value = document.value as PolicyFile;
  const locate = (path: string) => ({ file: document.file, ...document.locate(path), path });
  const { limits, retention, defaults, sealed } = value;
  const bytes = (key: 'tmp' | 'out' | 'source', field: keyof PolicyLimits): PolicyLimits =>
    limits?.[key] === undefined ? {} : { [field]: readQuantity('bytes', limits[key]) };
  return {
    origin,
    file: document.file,
    extends: value.extends ?? null,
    defaults: {
      ...(defaults?.base && { base: toBaseRequest(defaults.base) }),
      ...(defaults?.bases && { bases: mapBases(defaults.bases) }),
      ...(defaults?.gateway && { gateway: toBaseRequest(defaults.gateway) }),
      ...(defaults?.repository !== undefined && { repository: defaults.repository }),
      ...(defaults?.resources && { resources: toResources(defaults.resources) }),
    },
    ...(value.bases && {
      bases: value.bases.map((rule, at): BaseRule => ({
        ...toRule(rule, locate(`bases.${at}`)),
        allowSetuidFiles: rule.allowSetuidFiles ?? false,
      })),
    }),
    sealed: {
      ...(sealed?.signers && {
        signers: sealed.signers.map((rule, at) => toRule(rule, locate(`sealed.signers.${at}`))),
      }),
      attestations: sealed?.attestations ?? [],
      requireSigned: sealed?.requireSigned ?? false,
    },
    deniedDigests: value.deny?.digests ?? [],
    limits: {
      ...toResources(limits ?? {}),
      ...bytes('tmp', 'tmpBytes'),
      ...bytes('out', 'outBytes'),
      ...bytes('source', 'sourceBytes'),
    },
    allow: value.allow ?? {},
    floors: value.floors ?? {},
    retention: {
      ...(retention?.age !== undefined && { ageMs: readQuantity('duration', retention.age) }),
      ...(retention?.size !== undefined && { bytes: readQuantity('bytes', retention.size) }),
    },
    waivers: (value.waivers ?? []).map(({ sandbox, rule, until, reason, ...scope }, at) => ({
      sandbox,
      scope: toScope(scope, document.file),
      rule,
      until,
      reason,
      location: locate(`waivers.${at}`),
    })),
    locate,
  };
}

function toScope(
  { folder = '', repository, seal }: Pick<WaiverFile, 'folder' | 'repository' | 'seal'>,
  file: string,
): WaiverScope {
  if (seal !== undefined) return { seal };
  return repository === undefined ? { folder: resolve(dirname(file), folder) } : { repository };
}

function toRule(rule: SignerFile, location: SignerRule['location']): SignerRule {
  return {
    repository: rule.repository,
    mirrors: rule.mirrors ?? [],
    keys: (rule.verify.keys ?? []).map(({ publicKey, notBefore, notAfter }) => ({
      publicKey,
      notBefore: notBefore ?? null,
      notAfter: notAfter ?? null,
    })),
    keyless: toKeyless(rule.verify.keyless),
    trustedRoot: rule.verify.trustedRoot ?? null,
    annotations: rule.verify.annotations ?? {},
    attestations: rule.verify.attestations ?? [],
    transparencyLog: rule.verify.transparencyLog ?? 'required',
    location,
  };
}

function toKeyless(keyless: VerifyFile['keyless']): KeylessSigner | null {
  if (!keyless) return null;
  const { issuer, identity = null, identityPattern = null, caRoots = null } = keyless;
  return { issuer, identity, identityPattern, caRoots };
}
