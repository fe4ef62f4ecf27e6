import { realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SjsError } from '../../errors.js';
import type { AttestationType } from '../../model/attestation-type.js';
import { sha256, type Digest } from '../../model/digest.js';
import type {
  BaseRule,
  KeylessSigner,
  PolicyAllow,
  PolicyFloors,
  PolicyLayer,
  PolicyLimits,
  SignerRule,
} from '../../model/policy.js';
import { POLICY_SCHEMA } from '../../model/policy-schema.js';
import {
  checkBase,
  toBaseRequest,
  toResources,
  type BaseFile,
  type ResourcesFile,
} from '../../model/base-file.js';
import { formatRepository, parseReference } from '../../model/reference.js';
import {
  checkSchema,
  readQuantity,
  show,
  toError,
  type Report,
  type SchemaFindings,
  type SchemaProblem,
  type ValidTexts,
} from '../../model/schema-check.js';
import { parseYaml, type YamlDocument } from '../../model/yaml-document.js';
import { waiverEnd, type Waiver, type WaiverScope } from '../../model/waiver.js';
import { checkVerify, type VerifyFile } from './check-verify.js';

interface SignerFile {
  readonly repository: string;
  readonly mirrors?: readonly string[];
  readonly verify: VerifyFile;
}

interface WaiverFile extends Omit<Waiver, 'scope' | 'location'> {
  readonly folder?: string;
  readonly repository?: string;
  readonly seal?: Digest;
}

interface PolicyFile {
  readonly extends?: PolicyLayer['extends'];
  readonly defaults?: {
    readonly base?: BaseFile;
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

/**
 * One policy file as a layer.
 * @throws SjsError `YAML_*`; `POLICY_INVALID` or `NOT_YET` with all problems at once.
 */
export async function parsePolicy(
  bytes: Uint8Array,
  file: string,
  origin: PolicyLayer['origin'],
  valid?: ValidTexts,
): Promise<PolicyLayer> {
  const document = parseYaml(bytes, file);
  const key = sha256(`${origin}\n${sha256(bytes)}`);
  if (await valid?.has(key)) return findFolders(toLayer(document, origin));
  const findings = await checkSchema(document, POLICY_SCHEMA, 'policy');
  // What fits the schema is a policy, whatever the file is called: it is judged to the end, and may be quoted.
  const isOurs = document.mayQuote || findings.problems.length === 0;
  const problems = [...findings.problems, ...(isOurs ? checkMeaning(document, findings, origin) : [])];
  if (problems.length > 0) throw toError(problems, file, 'policy');
  await valid?.add(key);
  return findFolders(toLayer(document, origin));
}

/** What a schema cannot say, of whatever the schema did not refuse. */
function checkMeaning(
  document: YamlDocument,
  findings: SchemaFindings,
  origin: PolicyLayer['origin'],
): readonly SchemaProblem[] {
  const problems: SchemaProblem[] = [];
  const report: Report = (path, message, next, code = 'POLICY_INVALID') => {
    const location = { file: document.file, ...document.locate(path), path };
    problems.push({
      code,
      problem: {
        message: `${path}: ${message}`,
        location,
        snippet: document.excerpt(path),
        ...(next !== undefined && { next }),
      },
    });
  };
  const value = (findings.sound ?? {}) as PolicyFile;
  for (const key of ['base', 'gateway'] as const) {
    const base = value.defaults?.[key];
    if (base && !findings.hasFault('defaults', key)) checkBase(base, `defaults.${key}`, report);
  }
  const repository = value.defaults?.repository;
  if (repository !== undefined && !findings.hasFault('defaults', 'repository'))
    checkRepository(repository, report);
  for (const [at, rule] of (value.bases ?? []).entries()) {
    if (findings.hasFault('bases', String(at))) continue;
    checkVerify(rule.verify, `bases.${at}.verify`, report);
  }
  for (const [at, rule] of (value.sealed?.signers ?? []).entries()) {
    if (findings.hasFault('sealed', 'signers', String(at))) continue;
    checkVerify(rule.verify, `sealed.signers.${at}.verify`, report);
  }
  for (const [at, waiver] of (value.waivers ?? []).entries()) {
    if (!findings.hasFault('waivers', String(at))) checkWaiver(waiver, `waivers.${at}`, report);
  }
  if (origin === 'repository') {
    for (const key of ['extends', 'defaults', 'retention', 'waivers'] as const) {
      if (value[key] !== undefined)
        report(key, 'a repository’s policy can only tighten; this belongs to the operator', 'remove it');
    }
  }
  return problems;
}

/** A name is its author's word: what a waiver is for must be something that the operator knows besides. */
function checkWaiver({ until, folder, repository, seal }: WaiverFile, path: string, report: Report): void {
  if (Number.isNaN(waiverEnd(until))) report(`${path}.until`, `found ${show(until)}, which is no date`);
  const scopes = [folder, repository, seal].filter((one) => one !== undefined);
  if (scopes.length !== 1) {
    report(
      path,
      scopes.length === 0
        ? 'it has a name alone, which any sandbox.yaml can take'
        : `it has ${scopes.length} of folder, repository and seal, expected one`,
      'say beside sandbox exactly one of folder (that of its sandbox.yaml), repository (which its seal is pulled from) or seal',
    );
  }
  if (repository !== undefined && !isRepository(repository))
    report(
      `${path}.repository`,
      `found ${show(repository)}, expected a whole repository: registry.example.com/sandboxes/job`,
    );
}

/** Whether the text is `registry/path` in full, as pulled seals are kept with it. */
function isRepository(text: string): boolean {
  try {
    const reference = parseReference(text);
    return formatRepository(reference) === text;
  } catch (error) {
    if (error instanceof SjsError) return false;
    throw error;
  }
}

/** The name of a sandbox is put behind it: what comes out must be a repository. */
function checkRepository(repository: string, report: Report): void {
  try {
    const { tag } = parseReference(repository);
    if (tag === undefined) parseReference(`${repository}/x`);
    else
      report(
        'defaults.repository',
        `found ${show(repository)}, expected a repository without tag or digest`,
        'end it before the colon: the tag is that of the sealed image',
      );
  } catch (error) {
    if (!(error instanceof SjsError)) throw error;
    report('defaults.repository', error.message, error.next, error.code);
  }
}

function toLayer(document: YamlDocument, origin: PolicyLayer['origin']): PolicyLayer {
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

/** The layer with the real paths of the folders that its waivers name; what is not there stays as it is written. */
async function findFolders(layer: PolicyLayer): Promise<PolicyLayer> {
  const waivers = layer.waivers.map(async (waiver): Promise<Waiver> => {
    if (!('folder' in waiver.scope)) return waiver;
    const { folder } = waiver.scope;
    return { ...waiver, scope: { folder: await realpath(folder).catch(() => folder) } };
  });
  return { ...layer, waivers: await Promise.all(waivers) };
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
