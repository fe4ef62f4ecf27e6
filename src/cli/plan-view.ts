import { formatBytes, formatCpu, formatDuration, formatEgress, formatPort, type Sjs } from '../index.js';
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
    ['Dockerfile', plan.dockerfile.trimEnd().split('\n').map(cleanLine)],
    ['Program', programOf(plan)],
    ['Rights', formatRows(rightsOf(plan))],
    ['Limits', formatRows(limitsOf(rights.resources))],
    ['sandbox.lock', plan.lockChanges.length === 0 ? ['fits'] : formatLockChanges(plan.lockChanges)],
    [titleOfChanges(plan), formatRightChanges(plan, colors)],
  ];
  return rows
    .map(([title, lines]) => [colors.bold(title), ...lines.map((line) => `  ${line}`)].join('\n'))
    .join('\n\n');
}

type Section = readonly [title: string, lines: readonly string[]];
type Row = readonly [string, string];

const withheld = ({ withheld: paths }: BuildPlan['source']): string[] =>
  paths.length === 0 ? [] : [`left out, as they look like secrets: ${paths.map(cleanLine).join(', ')}`];

function programOf({ command, args, env }: BuildPlan): string[] {
  const words = [...command, ...args].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word),
  );
  return [words.map(cleanLine).join(' '), ...env.map(cleanLine)];
}

function rightsOf({ user, rights }: BuildPlan): Row[] {
  const { filesystem, permissions, secrets } = rights;
  const allowed = Object.entries(permissions).flatMap(([name, isAllowed]) => (isAllowed ? [name] : []));
  return [
    ['user', user],
    ...networkOf(rights.network),
    ['writes to', `/tmp (${formatBytes(filesystem.tmpBytes)})${outOf(filesystem.outBytes)}`],
    ['secrets', secrets.length === 0 ? 'none' : secrets.join(', ')],
    [
      'Node may use',
      allowed.length === 0 ? 'no child processes, workers, addons or WASI' : allowed.join(', '),
    ],
    ['runtime', rights.runtime],
    ...(rights.determinism ? [['frozen', describeFrozen(rights.determinism)] as const] : []),
    ['seccomp', rights.seccompDigest],
  ];
}

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
export function formatLockChanges(changes: BuildPlan['lockChanges']): string[] {
  return changes.map(({ field, from, to }) => `${cleanLine(field)}: ${show(from)} -> ${show(to)}`);
}

function titleOfChanges({ comparedWith }: BuildPlan): string {
  return comparedWith === null ? 'Changed rights' : `Changed rights, against ${cleanLine(comparedWith)}`;
}

function formatRightChanges({ comparedWith, rightChanges }: BuildPlan, colors: Colors): string[] {
  if (comparedWith === null) return ['nothing of this name is sealed yet'];
  if (rightChanges.length === 0) return ['none'];
  return rightChanges.map(({ right, from, to, widened }) => {
    const line = `${cleanLine(right)}: ${showRight(right, from)} -> ${showRight(right, to)}`;
    // The word, not the colour alone: reviews are read in logs.
    return widened ? colors.red(colors.bold(`WIDENED  ${line}`)) : `         ${line}`;
  });
}

function showRight(right: string, value: unknown): string {
  if (typeof value !== 'number') return show(value);
  if (right.endsWith('Bytes')) return formatBytes(value);
  if (right.endsWith('Ms')) return formatDuration(value);
  return right.endsWith('milliCpu') ? formatCpu(value) : String(value);
}

function show(value: unknown): string {
  if (value === null || value === undefined) return 'absent';
  return cleanLine(typeof value === 'string' ? value : JSON.stringify(value));
}
