import { SjsError } from '../../errors.js';
import { checkBase } from '../../model/base-file.js';
import type { PolicyLayer } from '../../model/policy.js';
import { formatRepository, parseReference } from '../../model/reference.js';
import { show, type Report, type SchemaFindings, type SchemaProblem } from '../../model/schema-check.js';
import { waiverEnd } from '../../model/waiver.js';
import type { YamlDocument } from '../../model/yaml-document.js';
import { checkVerify } from './check-verify.js';
import type { PolicyFile, WaiverFile } from './to-layer.js';

/** What a schema cannot say, of whatever the schema did not refuse. */
export function checkMeaning(
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
  for (const [language, base] of Object.entries(value.defaults?.bases ?? {})) {
    if (!language.startsWith('x-') && !findings.hasFault('defaults', 'bases'))
      checkBase(base, `defaults.bases.${language}`, report);
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
