import { sha256, type Digest } from '../../model/digest.js';
import type { BaseRule, PolicyAllow, PolicyFloors, PolicyLayer, PolicyLimits } from '../../model/policy.js';
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
  show,
  toError,
  type Report,
  type SchemaFindings,
  type SchemaProblem,
} from '../../model/schema-check.js';
import { parseYaml, type YamlDocument } from '../../model/yaml-document.js';

interface PolicyFile {
  readonly extends?: PolicyLayer['extends'];
  readonly defaults?: { readonly base?: BaseFile; readonly resources?: ResourcesFile };
  readonly bases?: readonly {
    readonly repository: string;
    readonly mirrors?: readonly string[];
    readonly allowSetuidFiles?: boolean;
    readonly verify: {
      readonly keys: readonly {
        readonly publicKey: string;
        readonly notBefore?: string;
        readonly notAfter?: string;
      }[];
      readonly annotations?: Readonly<Record<string, string>>;
      readonly transparencyLog?: 'required' | 'none';
    };
  }[];
  readonly deny?: { readonly digests?: readonly Digest[] };
  readonly limits?: ResourcesFile & Partial<Record<'tmp' | 'out' | 'source', string | number>>;
  readonly allow?: PolicyAllow;
  readonly floors?: PolicyFloors;
  readonly retention?: { readonly age?: string; readonly size?: string | number };
}

/**
 * Remembers which texts were found valid, by a digest over text and origin: validating costs more than the
 * rest of a run's start, and equal bytes are valid for ever.
 */
export interface ValidTexts {
  has(key: Digest): Promise<boolean>;
  add(key: Digest): Promise<void>;
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
  const problems = [
    ...findings.problems,
    ...(document.mayQuote ? checkMeaning(document, findings, origin) : []),
  ];
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
  if (value.defaults?.base && !findings.hasFault('defaults', 'base'))
    checkBase(value.defaults.base, 'defaults.base', report);
  for (const [at, rule] of (value.bases ?? []).entries()) {
    if (findings.hasFault('bases', String(at))) continue;
    for (const [which, key] of rule.verify.keys.entries()) {
      checkDates(key, `bases.${at}.verify.keys.${which}`, report);
    }
  }
  if (origin === 'repository') {
    for (const key of ['extends', 'defaults', 'retention'] as const) {
      if (value[key] !== undefined)
        report(key, 'a repository’s policy can only tighten; this belongs to the operator', 'remove it');
    }
  }
  return problems;
}

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
    keys: rule.verify.keys.map(({ publicKey, notBefore, notAfter }) => ({
      publicKey,
      notBefore: notBefore ?? null,
      notAfter: notAfter ?? null,
    })),
    annotations: rule.verify.annotations ?? {},
    transparencyLog: rule.verify.transparencyLog ?? 'required',
    allowSetuidFiles: rule.allowSetuidFiles ?? false,
    location,
  };
}
