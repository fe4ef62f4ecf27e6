import type { Colors } from './output.js';
import { VERBS } from './verb-table.js';
import { GLOBAL_OPTIONS, type OptionSpec, type Verb } from './verb.js';

const EXAMPLES = [
  ['sjs run hello.js', 'seal a file and run it'],
  ['sjs init my-job', 'start with a small sandbox'],
  ['sjs build my-job', 'verify its base, build and seal it; prints the tag'],
  ['sjs run my-job -- Ada', 'run the newest seal of that name with an argument'],
  ['sjs replay sjs/my-job:0.1.0-3f9a0c1b2d4e', 'run its last run again and compare'],
] as const;

/** The help of `sjs` itself. */
export function formatHelp(colors: Colors): string {
  const groups = [...new Set(Object.values(VERBS).map(({ group }) => group))];
  return [
    'sjs runs untrusted JavaScript in sealed images that can be checked and replayed.',
    '',
    ...section('Examples', EXAMPLES, colors),
    colors.bold('Usage'),
    '  sjs <verb> [options]',
    '',
    ...groups.flatMap((group) =>
      section(
        group,
        verbsOf((entry) => entry.group === group),
        colors,
      ),
    ),
    ...section('Options of every verb', optionRows(GLOBAL_OPTIONS), colors),
    'sjs <verb> --help shows examples of one verb.',
  ].join('\n');
}

/** The help of a word that begins several verbs. */
export function formatGroupHelp(group: string, colors: Colors): string {
  const verbs = verbsOf((_, name) => name.startsWith(`${group} `));
  return [...section('Verbs', verbs, colors), `sjs ${group} <verb> --help shows examples of one verb.`].join(
    '\n',
  );
}

/** The help of one verb: examples, usage, options. */
export function formatVerbHelp(name: string, verb: Verb, colors: Colors): string {
  return [
    `${capitalize(VERBS[name]?.summary ?? '')}.`,
    '',
    ...section('Examples', verb.examples, colors),
    colors.bold('Usage'),
    `  ${`sjs ${name} ${verb.usage}`.trim()}`,
    '',
    ...(verb.options ? section('Options', optionRows(verb.options), colors) : []),
    ...(verb.notes === undefined ? [] : [verb.notes, '']),
    ...section(
      'Options of every verb',
      optionRows(Object.fromEntries(Object.entries(GLOBAL_OPTIONS).filter(([key]) => !verb.options?.[key]))),
      colors,
    ),
  ]
    .join('\n')
    .trimEnd();
}

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

type Row = readonly [string, string];

const verbsOf = (belongs: (entry: (typeof VERBS)[string], name: string) => boolean): Row[] =>
  Object.entries(VERBS)
    .filter(([name, entry]) => belongs(entry, name))
    .map(([name, { summary }]) => [name, summary]);

function optionRows(options: Readonly<Record<string, OptionSpec>>): Row[] {
  return Object.entries(options)
    .filter(([, { hidden }]) => !hidden)
    .map(([name, { short, also, value, optional, describe }]) => {
      const names = [name, ...(also ?? [])].map((long) => `--${long}`).join(', ');
      const start = short === undefined ? '    ' : `-${short}, `;
      const shown = value === undefined ? '' : optional ? `[=${value}]` : ` ${value}`;
      return [`${start}${names}${shown}`, describe];
    });
}

function section(title: string, rows: readonly Row[], colors: Colors): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([left]) => left.length));
  return [colors.bold(title), ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`), ''];
}
