import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanFolders, makeFolder, world } from '../support/world.js';

cleanFolders();

interface Step {
  readonly command: string;
  /** What the page says is printed; `…` stands for anything. */
  readonly expected: readonly string[];
}

/** The commands of a page's console blocks, as they are typed, and what each prints. */
function walkThrough(page: string): readonly Step[] {
  const lines = [...page.matchAll(/^```console\n(.*?)^```/gms)].flatMap(([, text = '']) =>
    text.trimEnd().split('\n'),
  );
  const steps: { command: string; expected: string[] }[] = [];
  for (const line of lines) {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [] });
    else if (line.startsWith('> ') && last) last.command += `\n${line.slice(2)}`;
    else last?.expected.push(line);
  }
  return steps;
}

/** Runs all in one shell, as a reader would; ends at the first that fails. What each printed, to both streams. */
async function follow(
  steps: readonly Step[],
  env: Record<string, string>,
  before: (at: number) => string,
): Promise<{ readonly code: number; readonly printed: readonly string[]; readonly folder: string }> {
  const mark = '\u0001';
  const script = steps.map(({ command }, at) => `${before(at)}\nprintf '${mark}'\n${command}\n`).join('');
  const folder = await makeFolder({ 'script.sh': script });
  const cwd = await makeFolder();
  const shell = spawn('bash', ['-euo', 'pipefail', join(folder, 'script.sh')], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 600_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(shell, 'close')) as [number | null];
  return { code: code ?? -1, printed: output.split(mark).slice(1), folder: cwd };
}

/** Whether the lines are printed, in this order, whatever stands between them. */
function missing(expected: readonly string[], printed: string): readonly string[] {
  let rest = printed.split('\n');
  return expected.filter((line) => {
    const pattern = new RegExp(
      `^${line
        .split('…')
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*')}$`,
    );
    const at = rest.findIndex((one) => pattern.test(one));
    if (at >= 0) rest = rest.slice(at + 1);
    return at < 0;
  });
}

describe('docs/gitops.md', () => {
  const bases = `${world.registry}/gitops-base/node`;
  const patched = `${world.registry}/gitops-staging/node:2`;
  const tags: string[] = [];
  let steps: readonly Step[];
  let result: Awaited<ReturnType<typeof follow>>;
  let home: string;

  const at = (text: string): number => steps.findIndex(({ command }) => command.includes(text));
  const printed = (text: string): string => result.printed[at(text)] ?? '';

  beforeAll(async () => {
    const sjs = (name: string, file: string): string =>
      `#!/bin/sh\nexec '${process.execPath}' '${resolve(file)}' "$@"\n# ${name}\n`;
    home = await makeFolder({
      'bin/sjs': sjs('sjs', 'dist/cli/main.cjs'),
      'bin/sjs-ci': sjs('sjs-ci', 'gitops/ci.mjs'),
      '.gitconfig': '[user]\n\tname = dev\n\temail = dev@example.com\n',
      'policy.yaml': `apiVersion: sjs/v1\nkind: Policy\nextends: networked\nallow: { egress: ["*"] }\ndefaults:\n  base: { image: ${bases}, version: ">=24 <25" }\n  repository: ${world.registry}/gitops\n`,
    });
    for (const name of ['bin/sjs', 'bin/sjs-ci']) await chmod(join(home, name), 0o755);
    await chmod(join(home, 'policy.yaml'), 0o600);
    const env = {
      PATH: [join(home, 'bin'), process.env['PATH']].join(delimiter),
      HOME: home,
      SJS_HOME: join(home, 'sjs'),
      SJS_POLICY: join(home, 'policy.yaml'),
      SANDBOXES: `${world.registry}/gitops`,
      COSIGN_PASSWORD: '',
      NO_COLOR: '1',
    };
    const run = (...args: string[]): string =>
      execFileSync('sjs', args, { env, encoding: 'utf8', stdio: 'pipe' });
    run('base', 'import', world.reference, `${bases}:24.1.0`, '--sign-key', world.keyFile, '--trust');
    // What comes a week later: another image, as a rebuild of the base with fixes is one.
    execFileSync('docker', ['build', '-q', '-t', patched, '-'], {
      input: `FROM ${world.reference}\nENV PATCHED=yes\n`,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, DOCKER_BUILDKIT: '1' },
    });
    execFileSync('docker', ['push', '-q', patched], { stdio: 'ignore' });
    steps = walkThrough(await readFile('docs/gitops.md', 'utf8'));
    const lockAgain = at('--update base');
    const importing = `sjs base import ${patched} ${bases}:24.2.0 --sign-key ${world.keyFile} --trust >/dev/null 2>&1`;
    result = await follow(steps, env, (step) => (step === lockAgain ? importing : ''));
    tags.push(patched, ...(run('images', '--json').match(/sjs\/hello:[\w.-]+/g) ?? []));
  });

  afterAll(() => {
    // The bases that the builds pulled, and what the other machine pulled.
    const pulled = ['gitops-base/node', 'gitops/hello'].flatMap((name) =>
      execFileSync(
        'docker',
        ['images', '--digests', '--format', '{{.Repository}}@{{.Digest}}', `${world.registry}/${name}`],
        {
          encoding: 'utf8',
        },
      )
        .split('\n')
        .filter((one) => one.includes('@sha256:')),
    );
    for (const one of new Set([...tags, ...pulled])) {
      execFileSync('docker', ['image', 'rm', '-f', one], { stdio: 'ignore' });
    }
  });

  test('every command works as it stands, and prints what the page says', () => {
    const at = steps.findIndex(({ expected }, index) =>
      index + 1 >= result.printed.length && result.code !== 0
        ? true
        : missing(expected, result.printed[index] ?? '').length > 0,
    );
    const wrong = at < 0 ? null : { ...steps[at], printed: result.printed[at] };
    expect({ code: result.code, wrong }).toEqual({ code: 0, wrong: null });
  });

  test('the change that widens is shown where it stands, and refused', () => {
    const said = printed('policies/ci.yaml || echo');
    expect(said).toMatch(/^sjs-ci: warning: diff: hello\/sandbox\.yaml:\d+: .*network/m);
    expect(said).toMatch(/^sjs-ci: warning: diff: hello\/sandbox\.yaml:\d+: .*permissions\.childProcess/m);
    expect(said).toMatch(/^sjs-ci: error: policy: hello\/sandbox\.yaml:\d+:\d+: .*spec\.network/m);
  });

  test('the newer base is another seal, and plain cosign agrees with what was published', () => {
    const before = /sjs\/hello:0\.1\.0-[0-9a-f]{12}/.exec(printed('sjs-ci --policy policies/ci.yaml'))?.[0];
    const published = printed('--publish');
    const after = /sjs\/hello:0\.1\.0-[0-9a-f]{12}/.exec(published)?.[0];
    expect(before).toBeDefined();
    expect(after).toBeDefined();
    expect(after).not.toBe(before);
    const reference = /publish: ok, (\S+@sha256:[0-9a-f]{64})/.exec(published)?.[1] ?? '';
    expect(reference).toMatch(new RegExp(`^${world.registry}/gitops/hello@`));
    const flags = [
      '--key',
      join(result.folder, 'ci.pub'),
      '--insecure-ignore-tlog=true',
      '--allow-insecure-registry',
    ];
    for (const words of [['verify'], ['verify-attestation', '--type', 'slsaprovenance1']]) {
      execFileSync('cosign', [...words, ...flags, reference], { stdio: 'pipe' });
    }
  });
});
