import { execFileSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { RunRecord } from '../../src/index.js';
import { LANGUAGE_CASES } from '../support/languages.js';
import { cleanFolders, makeFolder, networkedPolicy, runSjs } from '../support/world.js';
import { provideBase } from '../support/world-base.js';

jest.setTimeout(240_000);
cleanFolders();

let home: string;
let policyFile: string;
const tags: string[] = [];

/** Under the policy of the world, with a default base for each language. */
beforeAll(async () => {
  const lines = ['  bases:'];
  for (const { language } of LANGUAGE_CASES) {
    if (language === 'node') continue;
    const { repository, version } = await provideBase(language);
    lines.push(`    ${language}: { image: ${repository}, version: "${version}" }`);
  }
  policyFile = await networkedPolicy('{ egress: [] }');
  const text = await readFile(policyFile, 'utf8');
  await writeFile(policyFile, text.replace('defaults:\n', `defaults:\n${lines.join('\n')}\n`), {
    mode: 0o600,
  });
  home = await makeFolder();
});
afterAll(() => {
  if (tags.length > 0) execFileSync('docker', ['image', 'rm', '-f', ...new Set(tags)], { stdio: 'ignore' });
});

/** What sjs answers with --json. */
async function ask<T>(words: readonly string[], input = ''): Promise<T> {
  const [before, after] = [words.indexOf('--'), words.length];
  const at = before < 0 ? after : before;
  const all = [...words.slice(0, at), '--json', ...words.slice(at)];
  const { stdout, stderr } = await runSjs(home, all, { env: { SJS_POLICY: policyFile }, input });
  const answer = (stdout === '' ? { error: stderr } : JSON.parse(stdout)) as Partial<Ran>;
  // A record has the field too, and is one all the same.
  if (answer.error && answer.id === undefined) throw new Error(`${words.join(' ')}: ${stdout}${stderr}`);
  return answer as T;
}

const build = async (folder: string): Promise<string> => {
  const { tag } = await ask<{ tag: string }>(['build', folder]);
  tags.push(tag);
  return tag;
};

type Ran = RunRecord & { readonly output: { readonly stdout: string; readonly stderr: string } };

const yaml = (spec: string): string =>
  `apiVersion: sjs/v1\nkind: Sandbox\nmetadata: { name: languages }\nspec:\n  source: .\n${spec}`;

describe.each(LANGUAGE_CASES)('a program in $language', ({ language, files, entrypoint, spec, readOnly }) => {
  let folder: string;
  let tag: string;
  let withOut: string;

  beforeAll(async () => {
    const shared = `  language: ${language}\n  entrypoint: ${entrypoint}\n  env: { FOO: bar }\n  resources: { output: 64Ki }\n${spec}`;
    folder = await makeFolder({ 'sandbox.yaml': yaml(shared), ...files });
    tag = await build(folder);
    const out = yaml(`${shared}  filesystem: { tmp: 16Mi, out: 1Mi }\n`);
    // A collector stands beside each run that has an /out: those that need none are faster.
    withOut = await build(await makeFolder({ 'sandbox.yaml': out, ...files }));
  });

  const does = (mode: string, options: readonly string[] = [], target = tag): Promise<Ran> =>
    ask<Ran>(['run', target, ...options, '--', mode]);
  const replay = async ({ id }: Ran): Promise<unknown> =>
    (await ask<{ reproduced: boolean }>(['replay', id])).reproduced;

  test('gets arguments, environment and stdin as they are, and its streams and exit code come out', async () => {
    const args = ['--', '--version', '-e', '', 'ä b'];
    const ran = await ask<Ran>(['run', tag, '--', 'echo', ...args], 'in\n');
    expect(JSON.parse(ran.output.stdout)).toEqual({ rest: args, foo: 'bar', stdin: 'in\n' });
    expect(ran.output.stderr).toBe('to stderr\n');
    expect(ran).toMatchObject({ state: 'failed', exitCode: 7 });
    expect(await replay(ran)).toBe(true);
  });

  test('has the same seal when it is built again', async () => {
    const elsewhere = await makeFolder({
      ...files,
      'sandbox.yaml': await readFile(join(folder, 'sandbox.yaml'), 'utf8'),
    });
    expect(await build(elsewhere)).toBe(tag);
  });

  test('is ended at its time limit', async () => {
    const { state } = await does('sleep', ['--timeout', '1500ms']);
    expect(state).toBe('timed-out');
  });

  test('runs out of memory by the kernel’s hand', async () => {
    expect(await does('eat')).toMatchObject({ state: 'out-of-memory', oomKilled: true });
  });

  test('is ended at its output limit', async () => {
    const { state, output } = await does('flood');
    expect(state).toBe('output-limit');
    expect(output.stdout.length).toBeLessThanOrEqual(64 * 1024);
  });

  test('starts no more processes than its limit', async () => {
    const { state, output } = await does('fork', ['--pids', '32']);
    // What comes of a runtime that cannot start a thread of its own is its affair: all of them never start.
    expect(output.stdout).not.toContain('all started');
    expect(state === 'failed' || output.stdout.startsWith('refused')).toBe(true);
  });

  test('writes to /tmp and /out alone, and what it left in /out comes out', async () => {
    const out = join(await makeFolder(), 'out');
    const ran = await does('write', ['--out', out], withOut);
    expect(ran.output.stdout).toBe(`${[readOnly, readOnly, readOnly, 'done', 'done'].join(' ')}\n`);
    expect(await readdir(out)).toEqual(['x.txt']);
    expect(ran.artifacts).toMatchObject([{ path: 'x.txt', bytes: 1 }]);
    expect(await replay(ran)).toBe(true);
  });

  test('has no network', async () => {
    expect(await does('connect')).toMatchObject({ output: { stdout: 'blocked\n' }, state: 'succeeded' });
  });

  test('that crashes says why, with a trace of its own file alone', async () => {
    const ran = await does('crash');
    const { stderr } = ran.output;
    expect(ran).toMatchObject({ state: 'failed', exitCode: 1 });
    expect(stderr).toContain('broken on purpose');
    expect(stderr).toContain(`/app/${entrypoint.replace('.ts', language === 'node' ? '.js' : '.ts')}`);
    expect(stderr).not.toContain('/.sjs/');
  });

  test('can be cloned, and what is cloned has the same seal', async () => {
    const clone = join(await makeFolder(), 'clone');
    await ask(['clone', withOut, clone]);
    expect(await readFile(join(clone, 'sandbox.yaml'), 'utf8')).toContain(`language: ${language}\n`);
    expect(await build(clone)).toBe(withOut);
  });
});
