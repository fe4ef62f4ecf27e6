import {
  LANGUAGE_NAMES,
  describeUsedWaiver,
  formatBytes,
  formatCpu,
  formatDuration,
  formatEgress,
  formatPort,
  type Sjs,
} from '../index.js';
import {
  baseLines,
  formatLines,
  otherLines,
  packageLines,
  rightLines,
  type ChangeLine,
} from './change-view.js';
import type { Colors } from './output.js';
import { describeSigner } from './signer.js';
import { cleanLine } from './terminal.js';

type BuildPlan = Awaited<ReturnType<Sjs['plan']>>;

/** What build and run would do, for a person who reviews it. */
export function formatPlan(plan: BuildPlan, colors: Colors): string {
  const { base, rights, source } = plan;
  const version = plan.version === null ? '' : ` ${plan.version}`;
  const rows: Section[] = [
    ['Sandbox', [`${plan.name}${version}`, cleanLine(plan.file), `inputs ${plan.inputs}`]],
    [
      'Base',
      [
        `${base.image}@${base.digest}${base.version === null ? '' : ` (${base.version})`}`,
        ...(base.manifestDigest === base.digest ? [] : [`this platform's manifest ${base.manifestDigest}`]),
        `signed by ${describeSigner(base.signer)}`,
        `trusted by ${cleanLine(base.trustedBy)}`,
      ],
    ],
    [
      'Source',
      [
        `${cleanLine(source.root)}: ${source.entries} ${source.entries === 1 ? 'entry' : 'entries'}, ${source.bytes} bytes`,
        ...withheld(source),
      ],
    ],
    ...dependenciesOf(plan),
    ['Dockerfile', plan.dockerfile.trimEnd().split('\n').map(cleanLine)],
    ['Program', programOf(plan)],
    ['Rights', formatRows(rightsOf(plan))],
    ['Limits', formatRows(limitsOf(rights.resources))],
    ['sandbox.lock', plan.lockChanges.length === 0 ? ['fits'] : formatLockChanges(plan.lockChanges, colors)],
    ...waivedOf(plan, colors),
    ...changesOf(plan, colors),
  ];
  return rows
    .map(([title, lines]) => [colors.bold(title), ...lines.map((line) => `  ${line}`)].join('\n'))
    .join('\n\n');
}

/** What a reviewer must not overlook: that the policy alone would refuse it. */
const waivedOf = ({ waivers }: BuildPlan, colors: Colors): Section[] =>
  waivers.length === 0
    ? []
    : [['Waived', waivers.map((waiver) => colors.yellow(cleanLine(describeUsedWaiver(waiver))))]];

/** What would change, and nothing else: one of many sandboxes. The text is empty when nothing would. */
export function formatChanges(
  name: string,
  plan: BuildPlan,
  colors: Colors,
): { readonly text: string; readonly what: string } {
  const { comparedWith, lockChanges, rightChanges, baseChanges, packageChanges } = plan;
  const isWidened = rightChanges.some(({ widened }) => widened);
  const isChanged = [rightChanges, baseChanges, packageChanges].some(({ length }) => length > 0);
  const what = [
    comparedWith === null ? 'new' : isChanged ? 'changed' : 'as sealed',
    ...(isWidened ? ['rights WIDENED'] : []),
    ...(lockChanges.length > 0 ? ['sandbox.lock would change'] : []),
  ].join(', ');
  const sections: Section[] = [
    ...(lockChanges.length === 0
      ? []
      : ([['sandbox.lock', formatLockChanges(lockChanges, colors)]] satisfies Section[])),
    ...(isChanged ? changesOf(plan, colors) : []),
  ];
  const text = sections.map(([title, lines]) =>
    [`  ${title}`, ...lines.map((line) => `    ${line}`)].join('\n'),
  );
  return { text: text.length === 0 ? '' : [colors.bold(cleanLine(name)), ...text].join('\n'), what };
}

type Section = readonly [title: string, lines: readonly string[]];
type Row = readonly [string, string];

const withheld = ({ withheld: paths }: BuildPlan['source']): string[] =>
  paths.length === 0 ? [] : [`left out, as they look like secrets: ${paths.map(cleanLine).join(', ')}`];

function dependenciesOf({ dependencies }: BuildPlan): Section[] {
  if (dependencies === null) return [];
  const { lockfile, packages, omitted, digest } = dependencies;
  const rest = omitted === 0 ? '' : `, ${omitted} left out`;
  return [['Dependencies', [`${cleanLine(lockfile)}: ${packages} packages${rest}`, `list ${digest}`]]];
}

function programOf({ command, args, env }: BuildPlan): string[] {
  const words = [...command, ...args].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word),
  );
  return [words.map(cleanLine).join(' '), ...env.map(cleanLine)];
}

function rightsOf({ user, rights }: BuildPlan): Row[] {
  const { filesystem, permissions, secrets, language = 'node' } = rights;
  const allowed = Object.entries(permissions).flatMap(([name, isAllowed]) => (isAllowed ? [name] : []));
  return [
    ['user', user],
    ...networkOf(rights.network),
    ['writes to', `/tmp (${formatBytes(filesystem.tmpBytes)})${outOf(filesystem.outBytes)}`],
    ['secrets', secrets.length === 0 ? 'none' : secrets.join(', ')],
    [
      `${LANGUAGE_NAMES[language]} may use`,
      allowed.length === 0 ? 'no child processes, workers, addons or WASI' : allowed.join(', '),
    ],
    ...(rights.modules ? modulesOf(rights.modules) : []),
    ['runtime', rights.runtime],
    ...(rights.determinism ? [['frozen', describeFrozen(rights.determinism)] as const] : []),
    ['seccomp', rights.seccompDigest],
  ];
}

const modulesOf = ({ builtins, packages }: NonNullable<BuildPlan['rights']['modules']>): Row[] => [
  ['may load', `of Node: ${builtins.join(', ') || 'nothing'}`],
  ['', `of npm: ${packages.length === 0 ? 'nothing' : `${packages.join(', ')}, and what they need`}`],
];

/** What a program finds frozen, in words. */
export const describeFrozen = ({ clock, seed }: NonNullable<BuildPlan['rights']['determinism']>): string =>
  [...(clock === null ? [] : [`clock at ${clock}`]), ...(seed === null ? [] : [`random seed ${seed}`])].join(
    ', ',
  );

function networkOf(network: BuildPlan['rights']['network']): Row[] {
  if (network.mode === 'none') return [['network', 'none']];
  const list = (texts: readonly string[]): string => (texts.length === 0 ? 'none' : texts.join(', '));
  return [
    ['network', network.mode],
    ['egress', list(network.egress.map(formatEgress))],
    ['ports', list(network.ports.map(formatPort))],
  ];
}

const outOf = (bytes: number | null): string => (bytes === null ? '' : ` and /out (${formatBytes(bytes)})`);

function limitsOf(resources: BuildPlan['rights']['resources']): Row[] {
  return [
    ['cpu', formatCpu(resources.milliCpu)],
    ['memory', formatBytes(resources.memoryBytes)],
    ['pids', String(resources.pids)],
    ['files', String(resources.files)],
    ['timeout', formatDuration(resources.timeoutMs)],
    ['output', formatBytes(resources.outputBytes)],
  ];
}

function formatRows(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${cleanLine(value)}`);
}

/** What writing the lock would change, a line each. */
export function formatLockChanges(changes: BuildPlan['lockChanges'], colors: Colors): readonly string[] {
  const isNew = changes.some(({ field, from }) => field === 'lockVersion' && from === null);
  const part = (prefix: string): { what: string; from: unknown; to: unknown }[] =>
    changes.flatMap(({ field, from, to }) =>
      field.startsWith(prefix) ? [{ what: field.slice(prefix.length), from, to }] : [],
    );
  const packages = part('packages.');
  // What every lock has says nothing of a new one.
  const rest = isNew ? [] : changes.filter(({ field }) => !/^(?:base|packages)\./.test(field));
  return formatLines(
    [
      ...baseLines(part('base.')).map((line) => ({ ...line, words: `base ${line.words}` })),
      ...otherLines(rest.map(({ field, from, to }) => ({ what: field, from, to }))),
      // All of them are listed once they are known, and change.
      ...(isNew && packages.length > 0
        ? [{ tone: 'plain', words: 'packages:', detail: String(packages.length) } as const]
        : packageLines(packages).map((line) => ({ ...line, words: `package ${line.words}` }))),
    ],
    colors,
  );
}

function changesOf(plan: BuildPlan, colors: Colors): Section[] {
  const { comparedWith, rightChanges, baseChanges, packageChanges } = plan;
  if (comparedWith === null) return [['Changed rights', ['nothing of this name is sealed yet']]];
  const rights = rightLines(rightChanges);
  const against = `against ${cleanLine(comparedWith)}`;
  const section = (title: string, lines: readonly ChangeLine[]): Section[] =>
    lines.length === 0 ? [] : [[`${title}, ${against}`, formatLines(lines, colors)]];
  return [
    ...section('Changed base', baseLines(baseChanges)),
    ...section('Changed packages', packageLines(packageChanges)),
    ...(rights.length === 0
      ? ([[`Changed rights, ${against}`, ['none']]] satisfies Section[])
      : section('Changed rights', rights)),
  ];
}
