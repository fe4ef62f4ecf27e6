import pc from 'picocolors';
import { describe, expect, test } from '@jest/globals';
import { formatHelp, formatVerbHelp } from '../../../src/cli/help.js';
import { VERBS } from '../../../src/cli/verb-table.js';
import { GLOBAL_OPTIONS, type Verb } from '../../../src/cli/verb.js';

const FILTERS = [
  '--state STATE …',
  '--name NAME …',
  '--tag TAG …',
  '--since TIME',
  '-f --filter KEY=VALUE … (hidden)',
];

/** What says what is run or called. */
const TARGET_FLAGS = [
  '--eval CODE',
  '-e --env NAME=VALUE …',
  '--env-file FILE …',
  '--secret NAME …',
  '--language NAME',
  '--in FILE …',
  '--out DIR',
  '--port HOST:CONTAINER …',
  '--egress NAME:PORT …',
  '-m --memory SIZE',
  '--cpu --cpus N',
  '--pids --pids-limit N',
  '--files N',
  '--timeout TIME',
  '--output-limit SIZE',
  '--raw',
];

/** Every flag there is. One that is added, renamed or lost has to be changed here too, and is seen in review. */
const FLAGS: Record<string, readonly string[]> = {
  init: ['--template NAME'],
  validate: ['--all'],
  schema: [],
  plan: ['--all', '--frozen', '--update [base|dependencies]'],
  build: [
    '--all',
    '--frozen',
    '--update [base|dependencies]',
    '--push',
    '--repository REPOSITORY',
    '--sign',
    '--key KEY',
  ],
  lock: ['--all', '--frozen', '--update [base|dependencies]', '--check'],
  run: [
    ...TARGET_FLAGS,
    '-d --detach',
    '--warm',
    '-i --interactive',
    '--stdin FILE',
    '--cmd JSON',
    '--receipt [=FILE]',
    '--key KEY',
    '--detached (hidden)',
    '--rm (hidden)',
    '--network --net none (hidden)',
  ],
  call: [...TARGET_FLAGS, '--warm', '--data FILE …', '--receipt [=FILE]', '--key KEY'],
  'pool start': [
    '--size N',
    '--max N',
    '--preload',
    '--idle-timeout TIME',
    '--memory-ceiling SIZE',
    '--cpu-ceiling N',
    '-m --memory SIZE',
    '--cpu --cpus N',
    '--pids --pids-limit N',
    '--files N',
    '--timeout TIME',
    '--output-limit SIZE',
    '--detached (hidden)',
  ],
  'pool status': [],
  'pool stop': ['-a --all'],
  replay: ['--secret NAME …', '--receipt [=FILE]', '--key KEY'],
  ps: ['-a --all', '-n --last N', ...FILTERS, '--format FORMAT', '-q --quiet', '--no-trunc'],
  runs: ['-n --last N', ...FILTERS, '--format FORMAT', '-q --quiet', '--no-trunc'],
  logs: ['-f --follow', '-n --tail N', '--since TIME', '--stdout', '--stderr', '--raw'],
  stats: ['--no-stream'],
  stop: ['-t --time --timeout SECONDS'],
  kill: ['-s --signal SIGNAL'],
  wait: [],
  inspect: [],
  rm: ['-f --force'],
  prune: ['--dry-run', '--ad-hoc'],
  images: ['--format FORMAT', '-q --quiet', '--no-trunc', '--tree'],
  env: [],
  diff: ['--all', '--format text|markdown'],
  clone: [],
  edit: [],
  rebase: ['--base REF'],
  export: ['--run RUN …', '--no-runs'],
  import: ['--trust SEAL'],
  push: ['--sign', '--key KEY'],
  published: [],
  pull: [],
  sbom: ['--format FORMAT'],
  provenance: [],
  verify: ['--offline'],
  receipt: ['--key KEY', '-o --out FILE'],
  'receipt verify': ['--key FILE'],
  'base import': ['--sign-key KEY', '--trust'],
  'base ls': [],
  'base verify': [],
  'policy check': [],
  'policy show': [],
  'policy explain': [],
  'policy trust': [],
  doctor: [],
  completion: ['--words LINE (hidden)'],
  version: [],
};

const flagsOf = (options: Verb['options'] = {}): string[] =>
  Object.entries(options).map(([name, { short, also = [], value, optional, many, hidden }]) =>
    [
      ...(short === undefined ? [] : [`-${short}`]),
      ...[name, ...also].map((long) => `--${long}`),
      ...(value === undefined ? [] : [optional ? `[=${value}]` : value]),
      ...(many ? ['…'] : []),
      ...(hidden ? ['(hidden)'] : []),
    ].join(' '),
  );

const plain = pc.createColors(false);

test('every verb is known', () => {
  expect(Object.keys(VERBS)).toEqual(Object.keys(FLAGS));
});

test('every verb takes the same options besides its own', () => {
  expect(flagsOf(GLOBAL_OPTIONS)).toEqual([
    '--json',
    '-q --quiet',
    '--verbose',
    '--policy FILE',
    '-h --help',
  ]);
});

describe.each(Object.keys(FLAGS))('%s', (name) => {
  const load = (): Promise<Verb> => (VERBS[name] as (typeof VERBS)[string]).load();

  test('has these flags', async () => {
    expect(flagsOf((await load()).options)).toEqual(FLAGS[name]);
  });

  test('uses no letter twice', async () => {
    const options = { ...GLOBAL_OPTIONS, ...(await load()).options };
    const letters = Object.values(options).flatMap(({ short }) => short ?? []);
    expect(new Set(letters).size).toBe(letters.length);
  });

  test('shows two to five examples of itself first', async () => {
    const verb = await load();
    expect(verb.examples.length).toBeGreaterThanOrEqual(2);
    expect(verb.examples.length).toBeLessThanOrEqual(5);
    for (const [command] of verb.examples) expect(command).toContain(`sjs ${name}`);
    const help = formatVerbHelp(name, verb, plain);
    expect(help.indexOf('Examples')).toBeLessThan(help.indexOf('Usage'));
    expect(help).toContain(`sjs ${name} ${verb.usage}`.trim());
    expect(help).toContain('--json');
  });
});

test('the help names every verb, examples first', () => {
  const help = formatHelp(plain);
  for (const name of Object.keys(VERBS)) expect(help).toContain(`  ${name} `);
  expect(help.indexOf('Examples')).toBeLessThan(help.indexOf('Usage'));
});
