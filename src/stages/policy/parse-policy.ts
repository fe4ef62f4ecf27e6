import { cleanText } from '../../model/clean-text.js';
import { sha256, type Digest } from '../../model/digest.js';
import { explainIdentityPattern } from '../../model/identity-pattern.js';
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
  show,
  toError,
  type Report,
  type SchemaFindings,
  type SchemaProblem,
  type ValidTexts,
} from '../../model/schema-check.js';
import { readCaRoots, readTrustedRoot } from '../../model/trusted-root.js';
import { parseYaml, type YamlDocument } from '../../model/yaml-document.js';

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

interface VerifyFile {
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
  readonly annotations?: Readonly<Record<string, string>>;
  readonly transparencyLog?: 'required' | 'none';
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

/** Exactly one kind of signer, and trust that both generations of cosign can be told without falling back to Sigstore's. */
function checkVerify(verify: VerifyFile, path: string, report: Report): void {
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
