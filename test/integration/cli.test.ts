import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Script } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createFileRecordStore } from '../../src/adapters/store/file-record-store.js';
import { makeEntry } from '../support/records.js';
import { until } from '../support/until.js';
import { cleanFolders, makeFolder } from '../support/world.js';

cleanFolders();

const MAIN = resolve('dist/cli/main.cjs');

/** Verbs of SPEC §7 that are there by now; the unit tests hold the same list against the table. */
const VERBS = [
  ...[
    'init',
    'validate',
    'schema',
    'plan',
    'build',
    'lock',
    'run',
    'replay',
    'ps',
    'runs',
    'logs',
    'stats',
    'stop',
    'kill',
    'wait',
    'inspect',
    'rm',
    'prune',
  ],
  ...[
    'images',
    'env',
    'diff',
    'clone',
    'edit',
    'rebase',
    'export',
    'import',
    'verify',
    'base import',
    'base ls',
    'base verify',
    'policy show',
    'policy explain',
    'doctor',
    'completion',
    'version',
  ],
];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sjs-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the built command line in a folder of its own, with an engine that nobody can reach; `directly` as a shell does,
 * by its first line.
 */
function sjs(
  words: readonly string[],
  options: { stdin?: string; env?: NodeJS.ProcessEnv; directly?: boolean } = {},
): Promise<Result> {
  const [program, args] = options.directly ? [MAIN, words] : [process.execPath, [MAIN, ...words]];
  const child = spawn(program, args, {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      SJS_HOME: join(folder, 'state'),
      DOCKER_HOST: `unix://${join(folder, 'no-engine.sock')}`,
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString('utf8')));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (status) => done({ status, ...output }));
  });
}

async function writeSandbox(name: string, text: string): Promise<string> {
  const path = join(folder, name, 'sandbox.yaml');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return name;
}

describe('the version', () => {
  test.each([[['--version']], [['version']]])('is the answer to %j', async (words) => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await sjs(words)).toEqual({ status: 0, stdout: `sjs ${version}\n`, stderr: '' });
  });

  test('is one document with --json', async () => {
    const { stdout } = await sjs(['version', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ version: expect.any(String), node: process.versions.node });
  });

  test('is answered without a parser and without the engine', async () => {
    const trace = join(folder, 'trace');
    await mkdir(trace);
    const { status } = await sjs(['--version'], { env: { NODE_V8_COVERAGE: trace } });
    expect(status).toBe(0);
    const [file = ''] = await readdir(trace);
    const { result } = JSON.parse(await readFile(join(trace, file), 'utf8')) as { result: { url: string }[] };
    const loaded = result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
    expect(loaded.length).toBeGreaterThan(0);
    const texts = await Promise.all(loaded.map((url) => readFile(new URL(url), 'utf8')));
    for (const text of texts)
      expect(text).not.toMatch(/unknown-options-as-args|docker-modem|class Dockerode/);
  });
});

test('an error that nobody waits for is told in words, not as a line of the bundle', async () => {
  const preload = join(folder, 'preload.cjs');
  await writeFile(
    preload,
    `process.on('newListener', (name) => {
      if (name === 'uncaughtException') setImmediate(() => Promise.reject(new Error('nobody waits for this')));
    });`,
  );
  const { status, stderr } = await sjs(['doctor'], { env: { NODE_OPTIONS: `--require ${preload}` } });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^error\[INTERNAL\]: nobody waits for this\n {2}next:.*\n$/),
  });
});

test('starts with the code that was compiled when it was built', async () => {
  const bundle = resolve('dist/cli/run-cli.cjs');
  const [source, code] = await Promise.all([readFile(bundle, 'latin1'), readFile(`${bundle}.code`)]);
  // A digest of the source is at its end.
  const cachedData = code.subarray(0, code.length - 32);
  expect(new Script(source, { filename: bundle, cachedData }).cachedDataRejected).toBe(false);
  // Other code is not taken: the check can fail.
  cachedData.fill(0, 0, 16);
  expect(new Script(source, { filename: bundle, cachedData }).cachedDataRejected).toBe(true);
});

test('does not start with code of another source, of the same length either', async () => {
  const root = join(folder, 'patched');
  await mkdir(root);
  await Promise.all(
    ['dist', 'package.json', 'policies', 'schemas', 'templates'].map((part) =>
      cp(resolve(part), join(root, part), { recursive: true }),
    ),
  );
  const bundle = join(root, 'dist/cli/run-cli.cjs');
  const source = await readFile(bundle, 'utf8');
  const patched = source.replace('sjs runs untrusted JavaScript', 'sjs runs UNTRUSTED JavaScript');
  expect(patched).not.toBe(source);
  await writeFile(bundle, patched);
  const shown = execFileSync(process.execPath, [join(root, 'dist/cli/main.cjs'), '--help'], {
    encoding: 'utf8',
  });
  expect(shown).toContain('sjs runs UNTRUSTED JavaScript');
});

test('a file of variables that is named on the command line is never Node’s to read', async () => {
  const file = join(folder, 'evil.env');
  await writeFile(join(folder, 'evil.cjs'), "process.stdout.write('ran on the host')");
  await writeFile(file, `NODE_OPTIONS=--require=${join(folder, 'evil.cjs')}\n`);
  const result = await sjs(['run', 'x', '--env-file', file], { directly: true });
  expect(result).toMatchObject({ status: 127, stdout: '' });
});

test('what stands where a verb should is named, with what was probably meant', async () => {
  for (const [word, next] of [
    ['-v', 'did you mean sjs --version?'],
    ['--verison', 'did you mean sjs --version?'],
    ['--json', 'sjs --help lists the verbs'],
  ] as const) {
    const { status, stderr } = await sjs([word]);
    expect({ word, status, next: /next: {2}(.*)/.exec(stderr)?.[1] }).toEqual({ word, status: 2, next });
  }
});

test('--json=true is --json', async () => {
  expect(JSON.parse((await sjs(['version', '--json=true'])).stdout)).toMatchObject({
    node: process.versions.node,
  });
  expect((await sjs(['version', '--json=false'])).stdout).toMatch(/^sjs /);
});

describe('help', () => {
  test.each([[[]], [['--help']], [['-h']], [['help']]])('is the answer to %j', async (words) => {
    const { status, stdout, stderr } = await sjs(words);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const verb of VERBS) expect(stdout).toContain(`  ${verb} `);
  });

  test.each(VERBS)('of %s has examples first', async (verb) => {
    const { status, stdout, stderr } = await sjs([...verb.split(' '), '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^[A-Z][^\n]+\.\n\nExamples\n {2}sjs /);
    expect(stdout).toContain(`\nUsage\n  sjs ${verb}`);
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/\x1b/);
  });

  test('of a word that begins several verbs names them', async () => {
    const { status, stdout } = await sjs(['policy']);
    expect(status).toBe(2);
    expect(stdout).toContain('policy explain');
  });
});

describe('what is not understood', () => {
  test.each([
    [['biuld'], 2, 'did you mean `sjs build`?'],
    [['call', 'x'], 125, '<function> is missing'],
    [['serve'], 2, 'there is no verb "serve"'],
    [['--bogus'], 2, 'a verb is missing'],
    [['build', '--frozn'], 2, 'did you mean --frozen?'],
    [['build', 'a', 'b'], 2, '"b" was not expected'],
    [['runs', '-n', 'many'], 2, '--last "many"'],
    [['schema', 'sandbx'], 2, 'did you mean sandbox?'],
    [['init', '--template', 'deno', 'x'], 2, 'there is no template "deno"'],
    [['run'], 125, '<target> is missing'],
    [['run', 'job', '65'], 125, 'sjs run job -- 65'],
    [['run', '--memry', '5', 'job'], 125, 'did you mean --memory?'],
    [['run', '-v', '/a:/b', 'job'], 125, 'sjs takes no -v'],
    [['run', '--privileged', 'job'], 125, 'sjs takes no --privileged'],
    [['run', '--network', 'host', 'job'], 125, 'sjs takes no --network host'],
    [['run', '-d', 'job'], 127, 'there is no sealed image job'],
    [
      ['run', '01K5ZQ8V0000000000000000AA'],
      127,
      'that is the id of a run: sjs replay 01K5ZQ8V0000000000000000AA',
    ],
    [['run', '-d', '-i', 'job'], 125, '-i and -d exclude each other'],
    [['run', '--detached', 'job'], 125, '--detached is for sjs itself'],
    [['run', '--secret', 'T=hunter2', 'job'], 125, 'stands on the command line'],
    [['replay'], 125, '<run'],
  ])('%j is refused with %i', async (words, status, line) => {
    const result = await sjs(words);
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toContain(line);
    expect(result.stderr).toMatch(/^error\[[A-Z_]+\]: /);
    expect(result.stderr).not.toMatch(/\n\s+at |hunter2/);
  });

  test('is one document on stdout with --json', async () => {
    const { status, stdout } = await sjs(['run', '--json', '--memry', '5', 'job']);
    expect(status).toBe(125);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'USAGE',
        message: 'there is no option --memry',
        cause: null,
        next: 'did you mean --memory?',
        location: null,
        problems: [],
      },
    });
  });

  test('has a stack with --verbose', async () => {
    expect((await sjs(['build', '--frozn', '--verbose'])).stderr).toMatch(/\n\s+at /);
  });
});

describe('validate', () => {
  test('accepts what init wrote', async () => {
    const init = await sjs(['init', 'my-job']);
    expect(init).toMatchObject({ status: 0 });
    expect(init.stdout.trim().split('\n').sort()).toEqual([
      'my-job/.sjsignore',
      'my-job/index.js',
      'my-job/sandbox.yaml',
    ]);
    expect(await sjs(['validate', 'my-job'])).toEqual({ status: 0, stdout: 'my-job: valid\n', stderr: '' });
    const { stdout } = await sjs(['validate', '--json', 'my-job']);
    expect(JSON.parse(stdout)).toMatchObject({ valid: true, files: [{ name: 'my-job', version: '0.1.0' }] });
    expect(await sjs(['init', 'my-job'])).toMatchObject({ status: 2 });
    for (const folder of ['/proc/a/b', '/dev/null/x'])
      expect(await sjs(['init', folder])).toMatchObject({
        status: 2,
        stderr: expect.stringContaining(`nothing can be written to ${folder}`) as unknown as string,
      });
  });

  test('names every problem with file, line and column', async () => {
    const path = await writeSandbox(
      'bad',
      'apiVersion: sjs/v1\nkind: Sandbox\nmetadata:\n  name: Bad_Name\nspec:\n  language: node\n  sorce: .\n',
    );
    const { status, stdout, stderr } = await sjs(['validate', path]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/bad\/sandbox\.yaml:4:\d+ metadata\.name/);
    expect(stderr).toMatch(/bad\/sandbox\.yaml:7:\d+ spec\.sorce/);
    const json = await sjs(['validate', '--json', path]);
    const { error } = JSON.parse(json.stdout) as { error: { code: string; problems: unknown[] } };
    expect(error.code).toBe('SANDBOX_INVALID');
    expect(error.problems.length).toBeGreaterThanOrEqual(2);
  });

  test('says where there is nothing', async () => {
    const { status, stderr } = await sjs(['validate', 'nowhere']);
    expect(status).toBe(2);
    expect(stderr).toContain('error[FILE_NOT_FOUND]');
  });
});

test('schema is a JSON Schema', async () => {
  const { status, stdout } = await sjs(['schema']);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toHaveProperty('properties');
});

test('without an engine each verb that needs one says so, and the others work', async () => {
  const images = await sjs(['images']);
  expect(images.status).toBe(5);
  expect(images.stderr).toMatch(/^error\[ENGINE_UNREACHABLE\]: .+\n(?: {2}cause: .+\n)? {2}next: {2}.+\n$/);
  expect(await sjs(['doctor'])).toMatchObject({ status: 1 });
  expect(await sjs(['run', 'job'])).toMatchObject({ status: 127, stdout: '' });
  expect(await sjs(['runs', '--json'])).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
  expect(await sjs(['policy', 'show'])).toMatchObject({ status: 0, stderr: '' });
});

describe('in its shell', () => {
  const { tag } = makeEntry('job');
  let env: NodeJS.ProcessEnv;
  let here: string;

  beforeAll(async () => {
    // A program of that name in PATH, as whoever installs it has it; a sealed image, and files.
    here = await makeFolder({
      'bin/sjs': `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`,
      'data.txt': '',
      'a b.txt': '',
    });
    await chmod(join(here, 'bin/sjs'), 0o755);
    await createFileRecordStore(join(here, 'state')).saveImage(makeEntry('job'));
    env = {
      PATH: `${join(here, 'bin')}:${process.env['PATH']}`,
      HOME: here,
      SJS_HOME: join(here, 'state'),
      TERM: 'dumb',
    };
  });

  const shell = (program: string, script: string, line: string): string[] =>
    execFileSync(program, ['-c', script], {
      encoding: 'utf8',
      cwd: here,
      env: { ...env, LINE: line },
      timeout: 60_000,
    })
      .trim()
      .split('\n');

  test('bash completes verbs, options and shells, and leaves files to itself', () => {
    const script = `source <(sjs completion bash); compopt() { :; }
COMP_LINE="$LINE"; COMP_POINT=\${#LINE}; COMP_WORDBREAKS=$' :'; _sjs; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const complete = (line: string): string[] => shell('bash', script, line);
    expect(complete('sjs repl')).toEqual(['replay']);
    expect(complete('sjs base i')).toEqual(['import']);
    expect(complete('sjs run --mem')).toEqual(['--memory']);
    expect(complete('sjs completion ')).toEqual(['bash', 'fish', 'zsh']);
    expect(complete('sjs run sjs/job:1')).toEqual([tag.slice('sjs/job:'.length)]);
    expect(complete('sjs build s')).toEqual(['']);
  });

  test('fish completes them too, and files where sjs has nothing to say', () => {
    const complete = (line: string): string[] =>
      shell('fish', 'sjs completion fish | source; complete -C "$LINE"', line);
    expect(complete('sjs rep')).toEqual(['replay']);
    expect(complete('true; sjs rep')).toEqual(['replay']);
    expect(complete('sjs base i')).toEqual(['import']);
    expect(complete('sjs run --mem')).toEqual(['--memory']);
    expect(complete('sjs completion ')).toEqual(['bash', 'fish', 'zsh']);
    expect(complete('sjs run sjs/job:1')).toEqual([tag]);
    expect(complete('sjs build da')).toEqual(['data.txt']);
  });

  /** What Tab makes of lines that are typed into a zsh. */
  async function typeInZsh(setUp: string, lines: readonly string[]): Promise<string[]> {
    const child = spawn('script', ['-qefc', 'zsh -f -i', '/dev/null'], { cwd: here, env });
    const ended = once(child, 'close');
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    const answer = async (pattern: RegExp): Promise<string> => {
      const found = await until(`${pattern} in zsh`, () => Promise.resolve(pattern.exec(text)));
      text = '';
      return found[1] ?? '';
    };
    try {
      // Ctrl-X says what the line has become. What is typed is echoed, and must not look like an answer.
      child.stdin.write(`PS1=; autoload -Uz compinit; ${setUp}
show() { print -r -- "LINE<$BUFFER>END""S"; BUFFER= }; zle -N show; bindkey '^X' show; print 'READ'Y\n`);
      await answer(/READY/);
      const made: string[] = [];
      for (const line of lines) {
        child.stdin.write(`${line}\t\x18`);
        made.push(await answer(/LINE<([^]*)>ENDS/));
      }
      return made;
    } finally {
      child.stdin.end('exit\n');
      child.kill();
      await ended;
    }
  }

  test('zsh completes them too, when Tab is pressed', async () => {
    expect(
      await typeInZsh('compinit -u -D; source <(sjs completion zsh)', [
        'sjs rep',
        'true; sjs rep',
        'sjs base i',
        'sjs run --mem',
        'sjs completion z',
        'sjs run sjs/job:1',
        'sjs build da',
        'sjs build a',
      ]),
    ).toEqual([
      'sjs replay ',
      'true; sjs replay ',
      'sjs base import ',
      'sjs run --memory ',
      'sjs completion zsh ',
      `sjs run ${tag} `,
      'sjs build data.txt ',
      'sjs build a\\ b.txt ',
    ]);
  });

  test('zsh finds it in a folder of fpath, where it completes from the first time on', async () => {
    await mkdir(join(here, 'functions'));
    execFileSync('sh', ['-c', 'sjs completion zsh > functions/_sjs'], { cwd: here, env });
    const setUp = 'fpath=($HOME/functions $fpath); compinit -u -D';
    expect(await typeInZsh(setUp, ['sjs rep', 'sjs build da'])).toEqual([
      'sjs replay ',
      'sjs build data.txt ',
    ]);
  });
});

test('a reader that has seen enough ends it quietly', async () => {
  const child = spawn('bash', ['-c', `set -o pipefail; "${process.execPath}" "${MAIN}" schema | head -c 1`], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  await new Promise((done) => child.on('close', done));
  expect(stderr).toBe('');
});
