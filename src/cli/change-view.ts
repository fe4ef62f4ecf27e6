import { formatBytes, formatCpu, formatDuration, type RightChange, type SandboxDiff } from '../index.js';
import type { Colors } from './output.js';
import { describeSigner } from './signer.js';
import { cleanLine } from './terminal.js';

type Change = SandboxDiff['base'][number];

/** One thing that changes, in words of ours and then in those of whoever wrote the files. */
export interface ChangeLine {
  /** `alarm` is neither more nor less, and has to be looked at all the same. */
  readonly tone: 'widened' | 'tightened' | 'alarm' | 'plain';
  readonly words: string;
  readonly detail: string;
}

const GRANTS: Readonly<Record<string, string>> = {
  'permissions.childProcess': 'start child processes',
  'permissions.worker': 'start worker threads',
  'permissions.addons': 'load native addons',
  'permissions.wasi': 'use WASI',
};

const ITEMS: Readonly<Record<string, readonly [more: string, less: string]>> = {
  'network.egress': ['may reach', 'may no longer reach'],
  'network.ports': ['can be reached at', 'can no longer be reached at'],
  'modules.builtins': ['may load of Node', 'may no longer load of Node'],
  'modules.packages': ['may load of npm', 'may no longer load of npm'],
  secrets: ['is given the secret', 'is no longer given the secret'],
};

/** Without such a list everything can be loaded. */
const CLOSED_LISTS: Readonly<Record<string, string>> = {
  'modules.builtins': 'Node',
  'modules.packages': 'npm',
};

const LIMITS: Readonly<Record<string, string>> = {
  'resources.milliCpu': 'cpu:',
  'resources.memoryBytes': 'memory:',
  'resources.pids': 'pids:',
  'resources.files': 'open files:',
  'resources.timeoutMs': 'time:',
  'resources.outputBytes': 'output:',
  'filesystem.tmpBytes': '/tmp:',
  'filesystem.outBytes': '/out:',
  'network.mode': 'network:',
  runtime: 'runtime:',
  seccompDigest: 'seccomp profile (which is the wider one cannot be told):',
};

/** Changed rights and limits, one line each that came, went or moved; what is more than before comes first. */
export function rightLines(changes: readonly RightChange[]): readonly ChangeLine[] {
  const order = ['widened', 'alarm', 'plain', 'tightened'];
  return changes.flatMap(linesOf).sort((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone));
}

function linesOf({ right, from, to, widened, tightened }: RightChange): readonly ChangeLine[] {
  const source = CLOSED_LISTS[right];
  if (source !== undefined && (from === null || to === null)) {
    if (to === null) return [{ tone: 'widened', words: `may load anything of ${source}`, detail: '' }];
    return [
      {
        tone: 'tightened',
        words: `may load of ${source} only:`,
        detail: textsOf(to).join(', ') || 'nothing',
      },
    ];
  }
  const items = ITEMS[right];
  if (items) {
    const [before, after] = [textsOf(from), textsOf(to)];
    const came = after.filter((item) => !before.includes(item));
    const went = before.filter((item) => !after.includes(item));
    return [
      ...came.map((detail) => ({ tone: 'widened', words: items[0], detail }) as const),
      ...went.map((detail) => ({ tone: 'tightened', words: items[1], detail }) as const),
    ];
  }
  const tone = widened ? 'widened' : tightened ? 'tightened' : 'plain';
  const grant = GRANTS[right];
  if (grant !== undefined) {
    return [{ tone, words: `may ${to === true ? '' : 'no longer '}${grant}`, detail: '' }];
  }
  const detail = `${showRight(right, from)} -> ${showRight(right, to)}`;
  const words = LIMITS[right];
  return [words === undefined ? { tone, words: '', detail: `${right}: ${detail}` } : { tone, words, detail }];
}

const textsOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

function showRight(right: string, value: unknown): string {
  if (typeof value !== 'number') return show(value);
  if (right.endsWith('Bytes')) return formatBytes(value);
  if (right.endsWith('Ms')) return formatDuration(value);
  return right.endsWith('milliCpu') ? formatCpu(value) : String(value);
}

/** What moved of a base. Another signer is another one to trust. */
export function baseLines(changes: readonly Change[]): readonly ChangeLine[] {
  return changes.map(({ what, from, to }) => {
    if (what !== 'signer')
      return { tone: 'plain', words: `${what}:`, detail: `${show(from)} -> ${show(to)}` };
    const detail = [from, to].map((one) => (typeof one === 'string' ? describeSigner(one) : show(one)));
    return { tone: from === null ? 'plain' : 'alarm', words: 'signer:', detail: detail.join(' -> ') };
  });
}

/** Packages that came, went or changed. Other content under the same version is never what it seems. */
export function packageLines(changes: readonly Change[]): readonly ChangeLine[] {
  return changes.map(({ what, from, to }) => {
    const [before, after] = [readPackage(from), readPackage(to)];
    const name = (after ?? before)?.name;
    const where = ['node_modules', 'site-packages'].some((folder) => what === `${folder}/${name}`)
      ? ''
      : ` (${what})`;
    if (!before) return { tone: 'plain', words: 'added', detail: `${after?.label ?? show(to)}${where}` };
    if (!after) return { tone: 'plain', words: 'removed', detail: `${before.label}${where}` };
    return before.label === after.label
      ? {
          tone: 'alarm',
          words: 'OTHER CONTENT of the same version:',
          detail: `${after.label}${where}: ${before.rest} -> ${after.rest}`,
        }
      : { tone: 'plain', words: 'changed', detail: `${before.label} -> ${after.label}${where}` };
  });
}

/** `name@version rest`, as a lock has it. */
function readPackage(
  line: unknown,
): { readonly name: string; readonly label: string; readonly rest: string } | null {
  if (typeof line !== 'string') return null;
  const space = line.indexOf(' ');
  const label = line.slice(0, space);
  return { label, name: label.slice(0, label.lastIndexOf('@')), rest: line.slice(space + 1) };
}

/** Whatever else differs. */
export function otherLines(changes: readonly Change[]): readonly ChangeLine[] {
  return changes.map(({ what, from, to }) => ({
    tone: 'plain',
    words: '',
    detail: `${what}: ${show(from)} -> ${show(to)}`,
  }));
}

/** Files that came, went or changed. */
function fileLines(changes: readonly Change[]): readonly ChangeLine[] {
  return changes.map(({ what, from, to }) => {
    if (from === null) return { tone: 'plain', words: '+', detail: what };
    if (to === null) return { tone: 'plain', words: '-', detail: what };
    return { tone: 'plain', words: '~', detail: `${what} (${show(from)} -> ${show(to)})` };
  });
}

const LABELS: Readonly<Record<ChangeLine['tone'], string>> = {
  widened: 'WIDENED',
  tightened: 'tightened',
  alarm: 'LOOK',
  plain: '',
};

/** The lines for a terminal or a log: the words say all, and colour shows it from afar. */
export function formatLines(lines: readonly ChangeLine[], colors: Colors): readonly string[] {
  const isLabelled = lines.some(({ tone }) => tone !== 'plain');
  return lines.map(({ tone, words, detail }) => {
    const label = isLabelled ? LABELS[tone].padEnd('tightened '.length) : '';
    const text = cleanLine(`${label}${[words, detail].filter((part) => part !== '').join(' ')}`);
    if (tone === 'widened' || tone === 'alarm') return colors.red(colors.bold(text));
    if (tone === 'tightened') return colors.green(text);
    return words === '+' ? colors.green(text) : words === '-' ? colors.red(text) : text;
  });
}

/** A digest by its first twelve digits; anything else as it is. */
function show(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1');
}

/** Under which headings the parts of a comparison stand. */
const SECTIONS: readonly (readonly [string, (diff: SandboxDiff) => readonly ChangeLine[]])[] = [
  ['rights and limits', ({ rights }) => rightLines(rights)],
  ['base', ({ base }) => baseLines(base)],
  ['packages', ({ packages }) => packageLines(packages)],
  ['program', ({ program }) => otherLines(program)],
  ['environment', ({ env }) => otherLines(env)],
  ['files', ({ files }) => fileLines(files)],
  ['image', ({ image }) => otherLines(image)],
];

type Side = SandboxDiff['from'];

const nameOf = (side: Side | null): string => (side === null ? 'none' : 'tag' in side ? side.tag : side.file);

const isOutdated = (side: Side): boolean => 'isLockOutdated' in side && side.isLockOutdated;

const OUTDATED = 'its sandbox.lock does not answer it: sjs lock writes one';

/** The differences for people: what widened comes first, and stands out in words and colour. */
export function formatDiff(diff: SandboxDiff, colors: Colors): string {
  const { from, to } = diff;
  const notes = isOutdated(to) ? [colors.red(`LOOK ${cleanLine(nameOf(to))}: ${OUTDATED}`)] : [];
  if (diff.isSame) {
    return [
      'seal' in to && 'seal' in from ? `the same seal: ${from.seal}` : 'they say the same',
      ...notes,
    ].join('\n');
  }
  const lines = [
    `${colors.red('---')} ${cleanLine(nameOf(from))}`,
    `${colors.green('+++')} ${cleanLine(nameOf(to))}`,
  ];
  for (const [title, linesOf] of SECTIONS) {
    const rows = formatLines(linesOf(diff), colors);
    if (rows.length > 0) lines.push(colors.bold(title), ...rows.map((row) => `  ${row}`));
  }
  return [...lines, ...notes].join('\n');
}

/** More lines than this fold away in Markdown. */
const LONG = 20;

/**
 * The differences as Markdown, for a comment on a pull request. Whatever the author wrote stands in code: nothing of it is
 * a link, a mention or a heading.
 */
export function markdownDiff(title: string, diff: SandboxDiff): string {
  const parts = SECTIONS.flatMap(([name, linesOf]) => {
    const lines = linesOf(diff);
    if (lines.length === 0) return [];
    const items = lines.map(({ tone, words, detail }) =>
      [
        `-`,
        ...(tone === 'plain' ? [] : [`**${LABELS[tone]}**`]),
        escapeWords(words),
        detail === '' ? '' : code(detail),
      ]
        .filter((part) => part !== '')
        .join(' '),
    );
    const list = items.join('\n');
    return lines.length > LONG
      ? [`<details><summary>${name}: ${lines.length}</summary>\n\n${list}\n\n</details>`]
      : [`${name[0]?.toUpperCase()}${name.slice(1)}\n\n${list}`];
  });
  const widened = diff.isWidened ? ': rights widened' : '';
  const notes = isOutdated(diff.to) ? [`**LOOK** ${OUTDATED}`] : [];
  const body = parts.length === 0 ? ['Nothing changes.'] : parts;
  return [`### ${code(title)}${widened}`, ...body, ...notes].join('\n\n');
}

const escapeWords = (words: string): string => words.replace(/^[+~-]$/, (sign) => `\`${sign}\``);

/** A code span, whatever is in it. */
export function code(text: string): string {
  const clean = cleanLine(text);
  const longest = Math.max(0, ...[...clean.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = /^[` ]|[` ]$/.test(clean) ? ' ' : '';
  return `${fence}${space}${clean}${space}${fence}`;
}
