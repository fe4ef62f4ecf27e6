import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadAll } from 'js-yaml';
import { VERBS } from '../../../src/cli/verb-table.js';
import { GLOBAL_OPTIONS } from '../../../src/cli/verb.js';
import { parseSandbox } from '../../../src/stages/load/load-sandbox.js';

const read = (file: string): string => readFileSync(file, 'utf8');
const yaml = (text: string): unknown[] => loadAll(text);

/** The verb of a command, its flags, and whether each is one of it. */
async function unknownIn(words: readonly string[]): Promise<readonly string[]> {
  const name = [words.slice(0, 2).join(' '), words[0] ?? ''].find((one) => Object.hasOwn(VERBS, one));
  if (name === undefined) return [`no verb ${words.join(' ')}`];
  const { options = {} } = (await VERBS[name]?.load()) ?? {};
  const known = Object.keys({ ...GLOBAL_OPTIONS, ...options });
  return words
    .filter((word) => word.startsWith('--') && !known.includes(word.slice(2)))
    .map((flag) => `${name} has no ${flag}`);
}

test('every verb and flag that the program calls is one of sjs', async () => {
  const source = ['steps', 'sjs'].map((name) => read(`gitops/lib/${name}.mjs`)).join('\n');
  const lists = [...source.matchAll(/(?:sjs\(|checkFiles\('\w+', |words = )\[([^\]]*)/g)];
  const calls = lists
    .map(([, list = '']) => [...list.matchAll(/'([^']*)'/g)].map(([, word = '']) => word))
    .filter(({ length }) => length > 0);
  expect(calls.map(([verb]) => verb).sort()).toEqual([
    ...['build', 'diff', 'diff', 'policy', 'published', 'push', 'validate', 'verify'],
  ]);
  // One after the other: jest links a module once.
  for (const words of calls) expect(await unknownIn(words)).toEqual([]);
});

/** The variables that the program reads its options from. */
const OPTIONS = [
  'path',
  ...[...read('gitops/ci.mjs').matchAll(/^ {4}(\w+): \{ type:/gm)].map(([, name]) => name),
].map((name) => `SJS_CI_${String(name).toUpperCase()}`);

describe('the action of GitHub', () => {
  interface Action {
    name: string;
    description: string;
    inputs: Record<string, { description: string; default?: string }>;
    outputs: Record<string, { description: string; value: string }>;
    runs: {
      using: string;
      steps: {
        name: string;
        id?: string;
        shell: string;
        run: string;
        uses?: string;
        env?: Record<string, string>;
      }[];
    };
  }
  const [action] = yaml(read('gitops/github/action.yml')) as [Action];

  test('has the shape of a composite action, calls no other, and its folder is two below the top', () => {
    expect(Object.keys(action).sort()).toEqual([
      'author',
      'branding',
      'description',
      'inputs',
      'name',
      'outputs',
      'runs',
    ]);
    expect(action.runs.using).toBe('composite');
    for (const step of action.runs.steps) {
      expect(Object.keys(step)).toEqual(expect.arrayContaining(['name', 'shell', 'run']));
      expect(step.uses).toBeUndefined();
      // An expression in a script is how words of a pull request become commands.
      expect(step.run).not.toContain('${{');
    }
    for (const { description } of Object.values(action.inputs)) expect(description).not.toBe('');
    expect(existsSync(join('gitops/github', '../ci.mjs'))).toBe(true);
    expect(existsSync(join('gitops/github', '../../package-lock.json'))).toBe(true);
  });

  test('hands every input on by a variable that the program reads, and outputs what a step has', () => {
    const check = action.runs.steps.find(({ id }) => id === 'check');
    const used = Object.entries(check?.env ?? {});
    expect(used.map(([, value]) => /^\$\{\{ inputs\.(\w+) \}\}$/.exec(value)?.[1]).sort()).toEqual(
      Object.keys(action.inputs).sort(),
    );
    for (const [name] of used) expect([...OPTIONS, 'GITHUB_TOKEN']).toContain(name);
    expect(action.outputs['results']?.value).toBe('${{ steps.check.outputs.results }}');
    expect(read('gitops/lib/run-ci.mjs')).toContain('`results=${');
  });
});

describe('the template of GitLab', () => {
  const [header, job] = yaml(read('gitops/gitlab/sjs.gitlab-ci.yml')) as [
    { spec: { inputs: Record<string, { default?: unknown; regex?: string }> } },
    {
      sjs: {
        variables: Record<string, string>;
        script: string[];
        before_script: string[];
        artifacts: { reports: { codequality: string } };
      };
    },
  ];

  test('uses each input, in variables and not in scripts, and reports what the program writes', () => {
    const text = JSON.stringify(job);
    const used = [...text.matchAll(/\$\[\[ inputs\.(\w+) \]\]/g)].map(([, name]) => name);
    expect(new Set(used)).toEqual(new Set(Object.keys(header.spec.inputs)));
    const { script, before_script: before, variables, artifacts } = job.sjs;
    for (const line of [...script, ...before]) expect(line).not.toContain('$[[');
    expect(artifacts.reports.codequality).toBe(variables['SJS_CI_REPORT']);
    const own = ['SJS_CI_REPOSITORY', 'SJS_CI_COMMIT'];
    for (const name of Object.keys(variables).filter((one) => one.startsWith('SJS_'))) {
      expect([...OPTIONS, ...own]).toContain(name);
    }
  });

  test('takes sjs by its commit and the image by its digest, and nothing else', () => {
    const accepts = (input: string, text: string): boolean =>
      new RegExp(header.spec.inputs[input]?.regex ?? '$^').test(text);
    expect(accepts('commit', 'a'.repeat(40))).toBe(true);
    expect(accepts('image', `r.example.com/x@sha256:${'a'.repeat(64)}`)).toBe(true);
    for (const text of ['main', 'v1.0.0', 'a'.repeat(39), '--upload-pack=x'])
      expect(accepts('commit', text)).toBe(false);
    expect(accepts('image', 'node:24')).toBe(false);
    expect(accepts('repository', '--upload-pack=evil')).toBe(false);
  });
});

test('the hooks of pre-commit are commands of sjs, and look at the files they name', async () => {
  const [hooks] = yaml(read('.pre-commit-hooks.yaml')) as [
    { id: string; entry: string; language: string; files: string }[],
  ];
  expect(hooks.map(({ id }) => id)).toEqual(['sjs-validate', 'sjs-policy-check', 'sjs-lock']);
  for (const { entry, language, files } of hooks) {
    const [program, ...words] = entry.split(' ');
    expect({ program, language }).toEqual({ program: 'sjs', language: 'system' });
    expect(await unknownIn(words)).toEqual([]);
    expect('jobs/a/sandbox.yaml').toMatch(new RegExp(files));
    expect('jobs/a/my-sandbox.yaml').not.toMatch(new RegExp(files));
  }
});

test('the YAML in the page can be read, and what it uses is pinned', () => {
  const page = read('docs/gitops.md');
  const blocks = [...page.matchAll(/^```yml\n(.*?)^```/gms)].map(([, text = '']) => text);
  expect(blocks.length).toBe(3);
  for (const text of blocks) expect(() => yaml(text.replace(/<[\w-]+>/g, 'x'))).not.toThrow();
  const uses = [...page.matchAll(/uses: (\S+)/g)].map(([, name = '']) => name);
  expect(uses.length).toBeGreaterThan(0);
  for (const name of uses) expect(name).toMatch(/@<commit>$/);
});

describe('the preset for Renovate', () => {
  interface Preset {
    customManagers: { managerFilePatterns: string[]; matchStrings: string[]; datasourceTemplate: string }[];
  }
  const { customManagers } = JSON.parse(read('gitops/renovate.json')) as Preset;
  const [manager] = customManagers;
  const OLD = `sha256:${'1'.repeat(64)}`;
  const NEW = `sha256:${'2'.repeat(64)}`;

  const sandbox = (base: string): string => `apiVersion: sjs/v1
kind: Sandbox
metadata: { name: job }
spec:
  language: node
  # base: { image: registry.example.com/other, version: "1.0.0" }
${base}
  source: .
  entrypoint: index.js
  env: { base: x }
`;

  /** What Renovate does with a match: it looks for the old value and digest in the text that matched. */
  function bump(
    text: string,
    version: string,
    digest: string,
  ): { text: string; found: Record<string, string>[] } {
    const found: Record<string, string>[] = [];
    let changed = text;
    for (const pattern of manager?.matchStrings ?? []) {
      for (const match of text.matchAll(new RegExp(pattern, 'g'))) {
        const groups = Object.fromEntries(Object.entries(match.groups ?? {}).filter(([, value]) => value));
        found.push(groups);
        const { currentValue = '', currentDigest } = match.groups ?? {};
        const bumped = match[0].replace(currentValue, version);
        changed = changed.replace(match[0], currentDigest ? bumped.replace(currentDigest, digest) : bumped);
      }
    }
    return { text: changed, found };
  }

  const image = 'registry.example.com:5000/base/node';
  test.each([
    ['one line', `  base: { image: ${image}, version: "24.2.0" }`],
    ['one line without quotes', `  base: {image: ${image}, version: 24.2.0}`],
    ['version first', `  base: { version: '24.2.0', image: '${image}' }`],
    ['several lines', `  base:\n    image: ${image}\n    version: 24.2.0`],
    ['several lines with comments', `  base:\n    image: ${image} # ours\n    version: "24.2.0" # tested`],
    ['several lines, version first', `  base:\n    version: "24.2.0"\n    image: "${image}"`],
    ['lines that end as on Windows', `  base:\r\n    image: ${image}\r\n    version: 24.2.0\r`],
  ])('finds a base with its version: %s', async (_name, base) => {
    await parseSandbox(Buffer.from(sandbox(base)), 'sandbox.yaml');
    const { text, found } = bump(sandbox(base), '24.3.0', NEW);
    expect(found).toEqual([{ depName: image, currentValue: '24.2.0' }]);
    const { sandbox: parsed } = await parseSandbox(Buffer.from(text), 'sandbox.yaml');
    expect(parsed.base).toEqual({ image, version: '24.3.0' });
  });

  test.each([
    ['one line', `  base: { image: ${image}, digest: ${OLD} } # 24.2.0`],
    ['several lines', `  base:\n    image: ${image}\n    digest: "${OLD}" # 24.2.0`],
  ])('finds a pin with the version behind it: %s', async (_name, base) => {
    const { text, found } = bump(sandbox(base), '24.3.0', NEW);
    expect(found).toEqual([{ depName: image, currentValue: '24.2.0', currentDigest: OLD }]);
    const { sandbox: parsed } = await parseSandbox(Buffer.from(text), 'sandbox.yaml');
    expect(parsed.base).toEqual({ image, digest: NEW });
    expect(text).toContain('# 24.3.0');
  });

  test('takes a range whole, and leaves alone what says nothing to follow', () => {
    expect(bump(sandbox(`  base: { image: ${image}, version: ">=24.2 <25" }`), 'x', NEW).found).toEqual([
      { depName: image, currentValue: '>=24.2 <25' },
    ]);
    for (const base of [
      `  base: { image: ${image}, digest: ${OLD} }`,
      `  # base: { image: ${image}, version: "1.0.0" }`,
      '',
    ]) {
      expect(bump(sandbox(base), 'x', NEW).found).toEqual([]);
    }
    expect(bump(read('templates/init/sandbox.yaml'), 'x', NEW).found).toEqual([]);
  });

  test('is of one manager for sandbox.yaml alone, in expressions that RE2 has too', () => {
    const [pattern = ''] = manager?.managerFilePatterns ?? [];
    const file = new RegExp(pattern.slice(1, -1));
    for (const name of ['sandbox.yaml', 'a/b/sandbox.yml']) expect(name).toMatch(file);
    for (const name of ['sandbox.lock', 'my-sandbox.yaml', 'sandbox.yaml.bak'])
      expect(name).not.toMatch(file);
    // RE2 knows no look-around and no back-references.
    for (const one of manager?.matchStrings ?? []) expect(one).not.toMatch(/\(\?(?:[=!]|<[=!])|\\[1-9]|\\k/);
    expect(manager?.datasourceTemplate).toBe('docker');
  });
});
