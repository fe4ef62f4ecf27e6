import { sha256, type Digest } from '../../model/digest.js';
import type {
  BaseRule,
  KeylessSigner,
  PolicyAllow,
  PolicyFloors,
  PolicyLayer,
  PolicyLimits,
} from '../../model/policy.js';
import { POLICY_SCHEMA } from '../../model/policy-schema.js';
import {
  checkBase,
  toBaseRequest,
  toResources,
  type BaseFile,
  type ResourcesFile,
} from '../../model/base-file.js';
import {
  checkSchema,
  readQuantity,
  toError,
  type Report,
  type SchemaFindings,
  type SchemaProblem,
  type ValidTexts,
} from '../../model/schema-check.js';
import { parseYaml, type YamlDocument } from '../../model/yaml-document.js';
import { checkVerify, type VerifyFile } from './check-verify.js';

interface PolicyFile {
  readonly extends?: PolicyLayer['extends'];
  readonly defaults?: {
    readonly base?: BaseFile;
    readonly gateway?: BaseFile;
    readonly resources?: ResourcesFile;
  };
  readonly bases?: readonly {
    readonly repository: string;
    readonly mirrors?: readonly string[];
    readonly allowSetuidFiles?: boolean;
    readonly verify: VerifyFile;
  }[];
  readonly deny?: { readonly digests?: readonly Digest[] };
  readonly limits?: ResourcesFile & Partial<Record<'tmp' | 'out' | 'source', string | number>>;
  readonly allow?: PolicyAllow;
  readonly floors?: PolicyFloors;
  readonly retention?: { readonly age?: string; readonly size?: string | number };
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
  if (await valid?.has(key)) return toLayer(document, origin);
  const findings = await checkSchema(document, POLICY_SCHEMA, 'policy');
  // What fits the schema is a policy, whatever the file is called: it is judged to the end, and may be quoted.
  const isOurs = document.mayQuote || findings.problems.length === 0;
  const problems = [...findings.problems, ...(isOurs ? checkMeaning(document, findings, origin) : [])];
  if (problems.length > 0) throw toError(problems, file, 'policy');
  await valid?.add(key);
  return toLayer(document, origin);
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
  for (const [at, rule] of (value.bases ?? []).entries()) {
    if (findings.hasFault('bases', String(at))) continue;
    checkVerify(rule.verify, `bases.${at}.verify`, report);
  }
  if (origin === 'repository') {
    for (const key of ['extends', 'defaults', 'retention'] as const) {
      if (value[key] !== undefined)
        report(key, 'a repository’s policy can only tighten; this belongs to the operator', 'remove it');
    }
  }
  return problems;
}

function toLayer(document: YamlDocument, origin: PolicyLayer['origin']): PolicyLayer {
  const value = document.value as PolicyFile;
  const locate = (path: string) => ({ file: document.file, ...document.locate(path), path });
  const { limits, retention, defaults } = value;
  const bytes = (key: 'tmp' | 'out' | 'source', field: keyof PolicyLimits): PolicyLimits =>
    limits?.[key] === undefined ? {} : { [field]: readQuantity('bytes', limits[key]) };
  return {
    origin,
    file: document.file,
    extends: value.extends ?? null,
    defaults: {
      ...(defaults?.base && { base: toBaseRequest(defaults.base) }),
      ...(defaults?.gateway && { gateway: toBaseRequest(defaults.gateway) }),
      ...(defaults?.resources && { resources: toResources(defaults.resources) }),
    },
    ...(value.bases && {
      bases: value.bases.map((rule, at): BaseRule => toRule(rule, locate(`bases.${at}`))),
    }),
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
    locate,
  };
}

function toRule(rule: NonNullable<PolicyFile['bases']>[number], location: BaseRule['location']): BaseRule {
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
    transparencyLog: rule.verify.transparencyLog ?? 'required',
    allowSetuidFiles: rule.allowSetuidFiles ?? false,
    location,
  };
}

function toKeyless(keyless: VerifyFile['keyless']): KeylessSigner | null {
  if (!keyless) return null;
  const { issuer, identity = null, identityPattern = null, caRoots = null } = keyless;
  return { issuer, identity, identityPattern, caRoots };
}
