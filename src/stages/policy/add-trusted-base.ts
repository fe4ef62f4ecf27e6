import semver from 'semver';
import { SjsError } from '../../errors.js';
import { canonicalJson } from '../../model/canonical-json.js';
import { baseNameFrom, type BaseName } from '../../model/base-name.js';
import { parseYaml, type YamlDocument } from '../../model/yaml-document.js';

/** A base that was just signed. */
export interface NewTrust {
  /** `registry/path` */
  readonly repository: string;
  readonly version: string;
  /** PEM */
  readonly publicKey: string | null;
}

interface PolicyValue {
  readonly defaults?: (Readonly<Record<string, unknown>> & { readonly bases?: Bases | null }) | null;
  readonly bases?: unknown;
}

type Bases = Readonly<Record<string, unknown>>;

interface WrittenRule {
  readonly repository?: unknown;
  readonly verify?: { readonly keys?: readonly { readonly publicKey?: unknown }[] };
}

/** Lines to put in, and how many lines of the old text stand above them. */
interface Insertion {
  readonly after: number;
  readonly lines: readonly string[];
}

/** A default base for a language, or for Node with a browser. */
interface NewDefault {
  readonly name: BaseName;
  readonly image: string;
  readonly version: string;
}

/** What goes into a policy: a rule of `bases`, and perhaps a default base. */
interface Addition {
  /** Lines of the rule, without its dash. */
  readonly rule: readonly string[];
  readonly isSame: (one: WrittenRule) => boolean;
  readonly base: NewDefault | null;
  /** The verb that writes it. */
  readonly by: string;
}

/**
 * The text of a policy that also trusts a base by its key. Everything else stays as it is, comments too; without a
 * default for what the last part of the repository names (a language or a browser, else it is Node) the repository becomes
 * that default, within the major version. The same text comes back when the base is trusted already.
 * @param before the policy's text; null makes a new one
 * @throws SjsError `POLICY_INVALID` when the text cannot be extended safely, with what to add by hand; `YAML_*`.
 */
export function addTrustedBase(before: string | null, trust: NewTrust, file: string): string {
  return addRule(
    before,
    {
      rule: ruleLines(trust),
      isSame: (one) => isSame(one, trust),
      base: {
        name: baseNameFrom(trust.repository),
        image: trust.repository,
        version: majorRange(trust.version),
      },
      by: 'sjs base import --trust',
    },
    file,
  );
}

/**
 * The text of a policy that also has a rule of `bases` as it is written elsewhere, with its comments. As
 * {@link addTrustedBase}, but for the default base.
 * @param rule lines of the rule, without its dash
 */
export function addWrittenRule(before: string | null, rule: readonly string[], file: string): string {
  const written = canonicalJson(valueOf(rule, file));
  return addRule(
    before,
    { rule, isSame: (one) => canonicalJson(one) === written, base: null, by: 'sjs policy trust' },
    file,
  );
}

function addRule(before: string | null, { rule, isSame, base, by }: Addition, file: string): string {
  const defaults = base === null ? [] : defaultLines(base);
  const document = before === null ? null : parseYaml(Buffer.from(before), file);
  const value = document?.value as PolicyValue | null | undefined;
  if (before === null || document === null || value === null || value === undefined)
    return newPolicy(before, item(rule, 2), indent(defaults, 2), by);
  const bases = Array.isArray(value.bases) ? (value.bases as WrittenRule[]) : [];
  if (bases.some(isSame)) return before;

  const withRule = { ...value, bases: [valueOf(rule, file), ...bases] };
  const ruleAt = placeRule(rule, document, value, before);
  // The default is a convenience: where it has no safe place, trust alone is added.
  const after =
    (base !== null && !hasDefault(value, base)
      ? prove(
          before,
          [ruleAt, placeDefault(base, document, value, before)],
          { ...withRule, defaults: withDefault(value, base) },
          file,
        )
      : null) ?? prove(before, [ruleAt], withRule, file);
  if (after !== null) return after;
  throw new SjsError('POLICY_INVALID', `${file} is written in a way that sjs does not extend by itself`, {
    location: { file },
    next: `add this to it by hand:\nbases:\n${item(rule, 2).join('\n')}`,
  });
}

/** A rule as it reads. */
function valueOf(rule: readonly string[], file: string): unknown {
  const [value] = parseYaml(Buffer.from(item(rule, 0).join('\n')), file).value as readonly unknown[];
  return value;
}

function newPolicy(
  before: string | null,
  rule: readonly string[],
  defaults: readonly string[],
  by: string,
): string {
  // A policy without a value can have comments.
  const comments = before?.trim() ?? '';
  return [
    comments === ''
      ? `# What this operator trusts and allows. Written by ${by}; see docs/reference/policy.md.`
      : comments,
    'apiVersion: sjs/v1',
    'kind: Policy',
    ...(defaults.length > 0 ? ['defaults:', ...defaults] : []),
    'bases:',
    ...rule,
    '',
  ].join('\n');
}

const isSame = (one: WrittenRule, { repository, publicKey }: NewTrust): boolean =>
  one.repository === repository &&
  (one.verify?.keys ?? []).some(
    (key) => typeof key.publicKey === 'string' && key.publicKey.trim() === publicKey?.trim(),
  );

function placeRule(
  rule: readonly string[],
  document: YamlDocument,
  value: PolicyValue,
  before: string,
): Insertion {
  const lines = linesOf(before);
  if (value.bases === undefined) return { after: lines.length, lines: ['bases:', ...item(rule, 2)] };
  const dash = /^ *(?=- )/.exec(lines[document.locate('bases.0').line - 1] ?? '');
  // Right below `bases:`, so that a comment above the first rule stays with that.
  return { after: document.locate('bases').line, lines: item(rule, dash?.[0].length ?? 2) };
}

const entryOf = ({ image, version }: NewDefault): string =>
  `{ image: ${JSON.stringify(image)}, version: ${JSON.stringify(version)} }`;

const defaultLines = (base: NewDefault): readonly string[] =>
  base.name === 'node'
    ? [`base: ${entryOf(base)}`]
    : ['bases:', ...indent([`${base.name}: ${entryOf(base)}`], 2)];

const hasDefault = ({ defaults }: PolicyValue, { name }: NewDefault): boolean =>
  (name === 'node' ? defaults?.['base'] : defaults?.bases?.[name]) !== undefined;

function withDefault({ defaults }: PolicyValue, { name, image, version }: NewDefault): object {
  if (name === 'node') return { ...defaults, base: { image, version } };
  return { ...defaults, bases: { ...defaults?.bases, [name]: { image, version } } };
}

function placeDefault(
  base: NewDefault,
  document: YamlDocument,
  value: PolicyValue,
  before: string,
): Insertion {
  const defaults = defaultLines(base);
  const [one] = Object.keys(value.defaults?.bases ?? {});
  if (base.name !== 'node' && one !== undefined) {
    const at = document.locate(['defaults', 'bases', one]).column - 1;
    return {
      after: document.locate(['defaults', 'bases']).line,
      lines: indent([`${base.name}: ${entryOf(base)}`], at),
    };
  }
  if (value.defaults === undefined)
    return { after: linesOf(before).length, lines: ['defaults:', ...indent(defaults, 2)] };
  const [first = ''] = Object.keys(value.defaults ?? {});
  const { column } = document.locate(['defaults', first]);
  return { after: document.locate('defaults').line, lines: indent(defaults, column - 1) };
}

/** The text with the insertions, if it reads back as exactly what is expected; else null. */
function prove(
  before: string,
  insertions: readonly Insertion[],
  expected: object,
  file: string,
): string | null {
  const lines = linesOf(before);
  for (const { after, lines: added } of insertions.toSorted((a, b) => b.after - a.after))
    lines.splice(after, 0, ...added);
  const end = before.includes('\r\n') ? '\r\n' : '\n';
  const text = `${lines.join(end)}${end}`;
  try {
    return canonicalJson(parseYaml(Buffer.from(text), file).value) === canonicalJson(expected) ? text : null;
  } catch (error) {
    if (error instanceof SjsError) return null;
    throw error;
  }
}

const linesOf = (text: string): string[] => text.replace(/(?:\r?\n)+$/, '').split(/\r?\n/);

function ruleLines(trust: NewTrust): string[] {
  return [
    `repository: ${JSON.stringify(trust.repository)}`,
    'verify:',
    '  keys:',
    '    - publicKey: |',
    ...indent((trust.publicKey ?? '').trim().split(/\r?\n/), 8),
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
