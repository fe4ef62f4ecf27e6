import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { VERBS } from '../src/cli/verb-table.js';
import { parsePolicy } from '../src/stages/policy/parse-policy.js';
import { parseSandbox } from '../src/stages/load/load-sandbox.js';

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const read = (page: string): string => readFileSync(page, 'utf8');
const blocks = (page: string, language: string): string[] =>
  [...read(page).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    (match) => match[1] ?? '',
  );

describe.each(pages)('%s', (page) => {
  test('shows YAML that sjs accepts', async () => {
    for (const text of blocks(page, 'yaml')) {
      if (text.includes('kind: Policy')) await parsePolicy(Buffer.from(text), page, 'operator');
      else await parseSandbox(Buffer.from(text), page);
    }
  });

  test('names verbs that there are', () => {
    const shown = blocks(page, 'console').flatMap((text) =>
      [
        ...text.matchAll(/^\$ (?:.*&& )?sjs ([a-z]+(?: (?:import|ls|verify|check|show|explain|trust)\b)?)/gm),
      ].map((match) => match[1] ?? ''),
    );
    const inline = [...read(page).matchAll(/`sjs ([a-z]+)/g)].map((match) => match[1] ?? '');
    const known = Object.keys(VERBS).flatMap((verb) => [verb, verb.split(' ')[0] ?? '']);
    expect(
      [...shown, ...inline].filter(
        (verb) => !known.includes(verb) && !known.includes(verb.split(' ')[0] ?? ''),
      ),
    ).toEqual([]);
  });

  test('links to files that are there', () => {
    const links = [...read(page).matchAll(/\]\(([^)#:]+)\)/g)].map((match) =>
      join(dirname(page), match[1] ?? ''),
    );
    const files = [
      ...read(page).matchAll(/`((?:src|test|docs|scripts|policies|templates|examples)\/[\w./-]*\.\w+)`/g),
    ].map((match) => match[1] ?? '');
    expect([...links, ...files].filter((file) => !existsSync(file))).toEqual([]);
  });
});

test('the page on performance says what make bench measured, and nothing else', () => {
  // Prettier loads its parsers in a way that jest's modules do not allow.
  const script = `import { describe, plot } from './bench/report.mjs';
    import { readFileSync } from 'node:fs';
    const results = JSON.parse(readFileSync('bench/results.json', 'utf8'));
    console.log(JSON.stringify([await describe(results), plot(results.phases)]));`;
  const made = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect([read('docs/performance.md'), read('docs/performance.svg')]).toEqual(JSON.parse(made));
});

test('the example at the root and what init writes are valid', async () => {
  await parseSandbox(readFileSync('sandbox.yaml'), 'sandbox.yaml');
  const template = read('templates/init/sandbox.yaml').replace('{{name}}', 'job').replace('{{modeline}}', '');
  for (const mark of ['', '# ']) {
    await parseSandbox(Buffer.from(template.replace('{{dependencies}}', mark)), 'sandbox.yaml');
  }
});

test('the shipped profiles are valid policies', async () => {
  for (const name of ['restricted', 'networked', 'browser']) {
    const file = `policies/${name}.yaml`;
    expect((await parsePolicy(readFileSync(file), file, 'profile')).bases).toBeUndefined();
  }
});
