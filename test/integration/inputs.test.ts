import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  cleanFolders,
  makeFolder,
  runSjs,
  sandboxYaml,
  world,
  type ProcessResult,
} from '../support/world.js';

cleanFolders();

let home: string;
const tags = new Set<string>();
const sjs = (args: readonly string[], options: Parameters<typeof runSjs>[2] = {}): Promise<ProcessResult> =>
  runSjs(home, args, options);
const codeOf = (result: ProcessResult): string =>
  (JSON.parse(result.stdout) as { error: { code: string } }).error.code;

async function build(
  name: string,
  spec: string,
  code: string,
  files: Record<string, string> = {},
): Promise<string> {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml(name, spec), 'index.js': code, ...files });
  const { code: exit, stdout, stderr } = await sjs(['build', folder]);
  expect({ exit, stderr: exit === 0 ? '' : stderr }).toEqual({ exit: 0, stderr: '' });
  tags.add(stdout.trim());
  return stdout.trim();
}

beforeAll(async () => {
  home = await makeFolder();
});

afterAll(() => {
  const left = execFileSync(
    'docker',
    ['ps', '-aq', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`],
    { encoding: 'utf8' },
  );
  const volumes = execFileSync(
    'docker',
    ['volume', 'ls', '-q', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`],
    { encoding: 'utf8' },
  );
  expect(left + volumes).toBe('');
  for (const tag of tags) execFileSync('docker', ['image', 'rm', '-f', tag], { stdio: 'ignore' });
});

test('a new user: init, validate, plan, build, run, runs, replay', async () => {
  const folder = await makeFolder();
  expect((await sjs(['init', 'my-job'], { cwd: folder })).code).toBe(0);
  expect((await sjs(['validate', 'my-job'], { cwd: folder })).code).toBe(0);
  const plan = await sjs(['plan', 'my-job', '--json'], { cwd: folder });
  expect(JSON.parse(plan.stdout)).toMatchObject({
    name: 'my-job',
    base: { image: world.repository, digest: world.digest },
    dockerfile: expect.stringContaining('FROM '),
  });
  expect(await readdir(join(folder, 'my-job'))).not.toContain('sandbox.lock');
  const built = JSON.parse((await sjs(['build', 'my-job', '--json'], { cwd: folder })).stdout) as {
    tag: string;
  };
  tags.add(built.tag);
  expect(await sjs(['run', built.tag, '--', 'Ada'])).toMatchObject({ code: 0, stdout: 'hello, Ada\n' });
  const [run] = JSON.parse((await sjs(['runs', '--json'])).stdout) as { id: string }[];
  expect((await sjs(['replay', run?.id ?? ''])).stdout).toContain('reproduced');
  expect((await sjs(['init', 'my-job'], { cwd: folder })).code).toBe(2);
});

test('--frozen refuses when the lock would change, and passes when it would not', async () => {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('frozen'), 'index.js': '' });
  const refused = await sjs(['build', folder, '--frozen', '--json']);
  expect([refused.code, codeOf(refused)]).toEqual([2, 'LOCK_OUTDATED']);
  expect(await readdir(folder)).not.toContain('sandbox.lock');
  expect((await sjs(['lock', folder])).code).toBe(0);
  const built = await sjs(['build', folder, '--frozen']);
  expect(built.code).toBe(0);
  tags.add(built.stdout.trim());
  for (const hostile of ['ln -s /dev/zero sandbox.lock', 'mkfifo sandbox.lock']) {
    execFileSync('sh', ['-c', `rm -f sandbox.lock; ${hostile}`], { cwd: folder });
    const refusedLock = await sjs(['build', folder, '--json']);
    expect([refusedLock.code, codeOf(refusedLock)]).toEqual([2, 'LOCK_INVALID']);
  }
  await rm(join(folder, 'sandbox.lock'));
  await writeFile(join(folder, 'sandbox.lock'), '{"lockVersion":2}');
  const invalid = await sjs(['build', folder, '--json']);
  expect([invalid.code, codeOf(invalid)]).toEqual([2, 'LOCK_INVALID']);
});

test('build --all builds every sandbox of a tree', async () => {
  const folder = await makeFolder({
    'a/sandbox.yaml': sandboxYaml('all-a'),
    'a/index.js': '1',
    'deep/b/sandbox.yaml': sandboxYaml('all-b'),
    'deep/b/index.js': '2',
    'node_modules/c/sandbox.yaml': 'x',
  });
  const { code, stdout } = await sjs(['build', folder, '--all']);
  expect(code).toBe(0);
  const built = stdout.trim().split('\n');
  built.forEach((tag) => tags.add(tag));
  expect(built.map((tag) => tag.split(':')[0])).toEqual(['sjs/all-a', 'sjs/all-b']);
});

test('T04: environment values arrive byte for byte, and none of the host’s', async () => {
  const values = {
    DOLLAR: '${PATH} $(id) ${X:-y} \\$',
    QUOTES: `"a" 'b' \`c\``,
    BACKSLASH: 'x\\',
    CANARY: '${AWS_SECRET_ACCESS_KEY}',
    UNICODE: 'ü ☃',
  };
  const yaml = Object.entries(values)
    .map(([name, value]) => `    ${name}: ${JSON.stringify(value)}\n`)
    .join('');
  const folder = await makeFolder({
    'sandbox.yaml': sandboxYaml('env', `  env:\n${yaml}`),
    'index.js': `console.log(JSON.stringify(process.env))`,
  });
  const built = await sjs(['build', folder]);
  const tag = built.stdout.trim();
  tags.add(tag);
  const { stdout } = await sjs(['run', tag, '-e', 'EXTRA=line\nbreak'], {
    env: { AWS_SECRET_ACCESS_KEY: 'hunter2-canary' },
  });
  const env = JSON.parse(stdout) as Record<string, string>;
  expect(env).toMatchObject({ ...values, EXTRA: 'line\nbreak', HOME: '/tmp' });
  expect(Object.keys(env).sort()).toEqual(
    [...Object.keys(values), 'EXTRA', 'HOME', 'HOSTNAME', 'NODE_VERSION', 'PATH'].sort(),
  );
});

test('arguments that Node would take for its own reach the program', async () => {
  const tag = await build('words', '', 'console.log(JSON.stringify(process.argv.slice(2)))');
  const words = ['--env-file=missing', '--env-file', 'missing', '--env-file-if-exists=x', '--', '--inspect'];
  const { code, stdout, stderr } = await sjs(['run', tag, '--', ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual(words);
});

test('a program that is not in the source is warned of when it is built', async () => {
  const folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('absent'), 'other.js': '' });
  const { code, stderr } = await sjs(['plan', folder]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^warning the program index\.js is not in the source /m);
});

test('declared permissions put nothing on stderr', async () => {
  const spec = '  permissions: { childProcess: true, worker: true }\n';
  const { code, stdout, stderr } = await sjs(['run', await build('granted', spec, 'console.log(1)')]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1\n', stderr: '' });
});

describe('what goes into a run', () => {
  const ECHO = `process.stdin.pipe(process.stdout)`;

  test('stdin passes through byte for byte, is recorded, and replayed', async () => {
    const tag = await build('echo', '', ECHO);
    expect(await sjs(['run', tag], { input: 'héllo\u0000\n' })).toMatchObject({
      code: 0,
      stdout: 'héllo\u0000\n',
    });
    const replayed = await sjs(['replay', tag, '--json']);
    expect(JSON.parse(replayed.stdout)).toMatchObject({ reproduced: true });
    expect(await sjs(['run', tag], { input: '' })).toMatchObject({ code: 0, stdout: '' });
  });

  test('secrets reach the program and nothing else; a replay needs the same ones', async () => {
    const tag = await build(
      'secret',
      '  secrets: [API_TOKEN]\n',
      `process.stdin.on('data', (d) => console.log(process.env.API_TOKEN.length, String(d)))`,
    );
    const missing = await sjs(['run', tag, '--json']);
    expect([missing.code, codeOf(missing)]).toEqual([126, 'SECRET_MISSING']);
    const env = { API_TOKEN: 's3cret-value-42' };
    const run = await sjs(['run', tag, '--secret', 'API_TOKEN', '--json'], { env, input: 'rest' });
    const record = JSON.parse(run.stdout) as { id: string; secrets: object; output: { stdout: string } };
    expect(record.output.stdout).toBe('15 rest\n');
    expect(Object.keys(record.secrets)).toEqual(['API_TOKEN']);
    // The fingerprint is there, the value nowhere: grep exits with 1 when it finds nothing.
    expect(() => execFileSync('grep', ['-rq', 's3cret-value-42', join(home, 'sjs')])).toThrow();
  });

  test('a replay without the secret, or with another, is refused', async () => {
    const tag = await build(
      'secret-replay',
      '  secrets: [API_TOKEN]\n',
      `console.log(process.env.API_TOKEN.length)`,
    );
    const run = JSON.parse(
      (await sjs(['run', tag, '--secret', 'API_TOKEN', '--json'], { env: { API_TOKEN: 'one' } })).stdout,
    ) as { id: string };
    for (const [flags, env] of [
      [[], {}],
      [['--secret', 'API_TOKEN'], { API_TOKEN: 'two' }],
    ] as const) {
      const refused = await sjs(['replay', run.id, ...flags, '--json'], { env });
      expect([refused.code, codeOf(refused)]).toEqual([126, 'REPLAY_INPUT_MISSING']);
    }
    const same = await sjs(['replay', run.id, '--secret', 'API_TOKEN', '--json'], {
      env: { API_TOKEN: 'one' },
    });
    expect(JSON.parse(same.stdout)).toMatchObject({ reproduced: true });
  });

  test('limits tighten and never loosen', async () => {
    const tag = await build('tight', '  resources: { memory: 128Mi, timeout: 5s }\n', 'console.log(1)');
    expect(await sjs(['run', tag, '--memory', '64Mi', '--timeout', '2s'])).toMatchObject({ code: 0 });
    const refused = await sjs(['run', tag, '--memory', '1Gi', '--json']);
    expect([refused.code, codeOf(refused)]).toEqual([126, 'RIGHTS_WIDENED']);
    for (const flag of [
      ['-e', 'NODE_OPTIONS=--inspect'],
      ['-e', 'LD_PRELOAD=/x'],
    ]) {
      const env = await sjs(['run', tag, ...flag, '--json']);
      expect([env.code, codeOf(env)]).toEqual([126, 'ENV_REFUSED']);
    }
  });
});

describe('what comes out of a run', () => {
  test('the program’s own exit code; sjs’s own ones with a line that says so', async () => {
    const tag = await build(
      'codes',
      '  resources: { timeout: 2s, memory: 64Mi, output: 10Ki }\n',
      `const [how] = process.argv.slice(2);
if (how === 'spin') for (;;);
if (how === 'grow') { const a = []; for (;;) a.push(Buffer.alloc(1e6, 1)); }
if (how === 'flood') { const write = () => { while (process.stdout.write('x'.repeat(1024))); process.stdout.once('drain', write); }; write(); }
else if (how === 'throw') throw new Error('mine');
else process.exit(Number(how));`,
    );
    for (const code of [0, 1, 3, 124, 125, 126, 127, 130, 137]) {
      const result = await sjs(['run', tag, '--', String(code)]);
      expect([result.code, result.stderr]).toEqual([code, '']);
    }
    expect(await sjs(['run', tag, '--', 'throw'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Error: mine'),
    });
    expect(await sjs(['run', tag, '--', 'spin'])).toMatchObject({
      code: 124,
      stderr: expect.stringMatching(/^sjs: timed out/m),
    });
    expect(await sjs(['run', tag, '--', 'grow'])).toMatchObject({
      code: 137,
      stderr: expect.stringMatching(/^sjs: .*memory/m),
    });
    const flood = await sjs(['run', tag, '--', 'flood']);
    expect(flood).toMatchObject({ code: 137, stderr: expect.stringMatching(/^sjs: .*output/m) });
    expect(flood.stdout).toBe('x'.repeat(10 * 1024));
    const states = (JSON.parse((await sjs(['runs', '--json', '-n', '4'])).stdout) as { state: string }[]).map(
      ({ state }) => state,
    );
    expect(states).toEqual(['output-limit', 'out-of-memory', 'timed-out', 'failed']);
  });

  test('files left in /out are kept, written out on request, and compared by a replay', async () => {
    const tag = await build(
      'out',
      '  filesystem: { out: 1Mi }\n',
      `const fs = require('fs'); fs.mkdirSync('/out/sub'); fs.writeFileSync('/out/sub/a.txt', 'hello');`,
    );
    const target = join(await makeFolder(), 'results');
    const run = await sjs(['run', tag, '--out', target, '--json']);
    expect(JSON.parse(run.stdout)).toMatchObject({
      state: 'succeeded',
      artifacts: [{ path: 'sub/a.txt', bytes: 5 }],
    });
    expect(await readFile(join(target, 'sub/a.txt'), 'utf8')).toBe('hello');
    expect(await readdir(target)).toEqual(['sub']);
    expect(JSON.parse((await sjs(['replay', tag, '--json'])).stdout)).toMatchObject({ reproduced: true });
    await rm(target, { recursive: true });

    const odd = await build(
      'odd-out',
      '  filesystem: { out: 1Mi }\n',
      `require('fs').writeFileSync('/out/a\\\\b', 'x'); console.log('done')`,
    );
    await sjs(['run', odd, '--out', target]);
    const [record] = JSON.parse((await sjs(['runs', '--json', '-n', '1'])).stdout) as object[];
    expect(record).toMatchObject({ state: 'succeeded', exitCode: 0, stdout: { bytes: 5 } });
  });

  test('files of a sandbox without /out are refused before it runs', async () => {
    const tag = await build('no-out', '', `console.log('ran')`);
    const { code, stdout, stderr } = await sjs(['run', tag, '--out', join(await makeFolder(), 'results')]);
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toContain(`error[USAGE]: ${tag} declares no /out`);
  });

  test('a run whose sjs was killed is found by the next command, with its output and exit code', async () => {
    const tag = await build(
      'orphan',
      '',
      `console.log('before'); setTimeout(() => { console.log('after'); process.exitCode = 7; }, 1500)`,
    );
    const child = spawn(process.execPath, ['dist/cli/main.cjs', 'run', tag], {
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        SJS_HOME: join(home, 'sjs'),
        SJS_POLICY: world.policyFile,
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const [run] = JSON.parse((await sjs(['runs', '--json', '-n', '1'])).stdout) as {
      id: string;
      tag: string;
      state: string;
      exitCode: number;
    }[];
    expect(run).toMatchObject({ tag, state: 'failed', exitCode: 7 });
    expect((await sjs(['logs', run?.id ?? ''])).stdout).toBe('before\nafter\n');
    // What it read of its input died with its sjs: a replay would not be of the same run.
    const replayed = await sjs(['replay', tag, '--json']);
    expect([replayed.code, codeOf(replayed)]).toEqual([126, 'REPLAY_INPUT_MISSING']);
  });

  test('in a CI log, workflow commands of the program are broken; --raw and files get the bytes', async () => {
    const tag = await build('ci', '', `console.log('::set-output name=x::y')`);
    const env = { CI: 'true' };
    expect((await sjs(['run', tag], { env })).stdout).not.toMatch(/^::/m);
    expect((await sjs(['run', tag, '--raw'], { env })).stdout).toBe('::set-output name=x::y\n');
    expect((await sjs(['run', tag])).stdout).toBe('::set-output name=x::y\n');
  });

  test('a program that is not deterministic is not reproduced, and the difference is shown', async () => {
    const tag = await build('dice', '', 'console.log(Math.random())');
    await sjs(['run', tag]);
    const replayed = await sjs(['replay', tag, '--json']);
    expect(replayed.code).toBe(1);
    expect(JSON.parse(replayed.stdout)).toMatchObject({
      reproduced: false,
      differences: [expect.objectContaining({ field: 'stdout' })],
    });
  });
});
