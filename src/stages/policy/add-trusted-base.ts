import semver from 'semver';
import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { parseYaml } from '../../model/yaml-document.js';

/** A base that was just signed. */
export interface NewTrust {
  /** `registry/path` */
  readonly repository: string;
  readonly version: string;
  /** PEM */
  readonly publicKey: string | null;
}

interface PolicyValue {
  readonly defaults?: { readonly base?: unknown };
  readonly bases?: readonly {
    readonly repository?: unknown;
    readonly verify?: { readonly keys?: readonly { readonly publicKey?: unknown }[] };
  }[];
}

/**
 * The text of a policy that also trusts a base by its key. Everything else stays as it is, comments too; without a
 * `defaults.base` the repository becomes the default, within the major version. The same text comes back when the base
 * is trusted already.
 * @param before the policy's text; null makes a new one
 * @throws SjsError `POLICY_INVALID` when the text cannot be extended safely, with what to add by hand.
 */
export function addTrustedBase(before: string | null, trust: NewTrust, file: string): string {
  const rule = ruleLines(trust);
  const defaults = [
    `base: { image: ${JSON.stringify(trust.repository)}, version: ${JSON.stringify(majorRange(trust.version))} }`,
  ];
  if (before === null) {
    return [
      '# What this operator trusts and allows. Written by sjs base import --trust; see docs/reference/policy.md.',
      'apiVersion: sjs/v1',
      'kind: Policy',
      'defaults:',
      ...indent(defaults, 2),
      'bases:',
      ...item(rule, 2),
      '',
    ].join('\n');
  }
  const document = parseYaml(Buffer.from(before), file);
  const value = (document.value ?? {}) as PolicyValue;
  const key = trust.publicKey?.trim();
  const isTrusted = value.bases?.some(
    (one) =>
      one.repository === trust.repository &&
      one.verify?.keys?.some(({ publicKey }) => typeof publicKey === 'string' && publicKey.trim() === key),
  );
  if (isTrusted) return before;

  const lines = before.replace(/\n*$/, '').split('\n');
  if (value.bases === undefined) lines.push('bases:', ...item(rule, 2));
  else if (value.bases.length > 0) {
    const at = document.locate('bases.0').line - 1;
    const dash = /^( *)- /.exec(lines[at] ?? '');
    if (dash) lines.splice(at, 0, ...item(rule, dash[1]?.length ?? 0));
  }
  const wantsDefault = value.defaults === undefined;
  if (wantsDefault) lines.push('defaults:', ...indent(defaults, 2));
  const after = `${lines.join('\n')}\n`;
  return prove(after, value, wantsDefault, trust, rule, file);
}

/** Reads the new text back: exactly the rule (and the default) must have been added. */
function prove(
  after: string,
  before: PolicyValue,
  wantsDefault: boolean,
  trust: NewTrust,
  rule: readonly string[],
  file: string,
): string {
  const added = parseYaml(Buffer.from(item(rule, 0).join('\n')), file).value as readonly unknown[];
  const expected = {
    ...before,
    bases: [...added, ...(before.bases ?? [])],
    ...(wantsDefault && {
      defaults: { base: { image: trust.repository, version: majorRange(trust.version) } },
    }),
  };
  let actual: unknown;
  try {
    actual = parseYaml(Buffer.from(after), file).value;
  } catch {
    actual = null;
  }
  if (canonicalJson(actual) === canonicalJson(expected)) return after;
  throw new SjsError('POLICY_INVALID', `${file} is written in a way that sjs does not extend by itself`, {
    location: { file },
    next: `add this to it by hand, under bases:\n${item(rule, 2).join('\n')}`,
  });
}

function ruleLines(trust: NewTrust): string[] {
  return [
    `repository: ${JSON.stringify(trust.repository)}`,
    'verify:',
    '  keys:',
    '    - publicKey: |',
    ...indent((trust.publicKey ?? '').trim().split('\n'), 8),
    '  transparencyLog: none',
  ];
}

const majorRange = (version: string): string => {
  const major = semver.major(version);
  return `>=${major} <${major + 1}`;
};

const indent = (lines: readonly string[], by: number): string[] => lines.map((line) => ' '.repeat(by) + line);

const item = (lines: readonly string[], by: number): string[] =>
  lines.map((line, at) => `${' '.repeat(by)}${at === 0 ? '- ' : '  '}${line}`);
