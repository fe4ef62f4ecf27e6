import { execFileSync } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
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

const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8' }).trim();
const containers = (home: string): string[] =>
  docker('ps', '-aq', '--filter', `label=dev.sjs.run.home=${join(home, 'sjs')}`)
    .split('\n')
    .filter(Boolean);

const MOD_EXP = `const [b, e, m] = process.argv.slice(2).map(BigInt);
let r = 1n;
for (let s = b % m, n = e; n > 0n; n >>= 1n, s = (s * s) % m) if (n & 1n) r = (r * s) % m;
console.log(String(r));
`;

let home: string;
const tags = new Set<string>();

const sjs = (args: readonly string[], options: Parameters<typeof runSjs>[2] = {}): Promise<ProcessResult> =>
  runSjs(home, args, options);

interface Build {
  tag: string;
  seal: string;
  inputs: string;
  imageId: string;
  cached: boolean;
  base: { image: string; digest: string; manifestDigest: string };
}

async function build(folder: string, ...flags: string[]): Promise<Build> {
  const { code, stdout, stderr } = await sjs(['build', folder, '--json', ...flags]);
  expect({ code, stderr: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, stderr: '' });
  const result = JSON.parse(stdout) as Build;
  tags.add(result.tag);
  return result;
}

const errorOf = (result: ProcessResult) =>
  (JSON.parse(result.stdout) as { error: { code: string; message: string; next: string } }).error;

beforeAll(async () => {
  home = await makeFolder();
});

afterAll(() => {
  expect(containers(home)).toEqual([]);
  for (const tag of tags) execFileSync('docker', ['image', 'rm', '-f', tag], { stdio: 'ignore' });
});

describe('base, signature, seal, run, record, replay', () => {
  let folder: string;
  let built: Build;

  beforeAll(async () => {
    folder = await makeFolder({ 'sandbox.yaml': sandboxYaml('mod-exp'), 'index.js': MOD_EXP });
    built = await build(folder);
  });

  test('build prints the tag, the seal, the inputs, the image and the base that was verified', async () => {
    expect(built).toMatchObject({
      tag: `sjs/mod-exp:${built.seal.slice(7, 19)}`,
      seal: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      inputs: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      cached: false,
      base: { image: world.repository, digest: world.digest },
    });
    const plain = await sjs(['build', folder]);
    expect(plain).toMatchObject({ code: 0, stdout: `${built.tag}\n` });
  });

  test('the lock names the base, and plain cosign confirms it', async () => {
    const lock = JSON.parse(await readFile(join(folder, 'sandbox.lock'), 'utf8')) as {
      base: { image: string; digest: string };
    };
    expect(lock.base).toMatchObject({ image: world.repository, digest: world.digest });
    execFileSync(
      'cosign',
      [
        'verify',
        '--key',
        join(world.directory, 'base.pub'),
        '--insecure-ignore-tlog=true',
        '--allow-insecure-registry',
        `${lock.base.image}@${lock.base.digest}`,
      ],
      { stdio: 'pipe' },
    );
  });

  test('a seal that comes from another repository of the same base too is verified where it was built last', async () => {
    const other = `${world.registry}/base/moved`;
    const env = { SJS_POLICY: join(await makeFolder(), 'policy.yaml'), COSIGN_PASSWORD: '' };
    const words = ['base', 'import', world.reference, `${other}:${world.version}`];
    expect(await sjs([...words, '--sign-key', world.keyFile, '--trust'], { env })).toMatchObject({ code: 0 });
    const again = await makeFolder({
      'sandbox.yaml': sandboxYaml('mod-exp', `  base: { image: ${other}, version: ${world.version} }\n`),
      'index.js': MOD_EXP,
    });
    const first = await sjs(['build', again], { env });
    expect(first).toMatchObject({ code: 0, stdout: `${built.tag}\n` });
    expect(first.stderr).toContain('sandbox.lock is new: commit it');
    expect((await sjs(['build', again], { env })).stderr).not.toContain('sandbox.lock');
    expect(await sjs(['verify', built.tag], { env })).toMatchObject({ code: 0 });
  });

  test('run prints what the program prints, run --json the record, and replay reproduces it', async () => {
    expect(await sjs(['run', built.tag, '--', '65', '17', '3233'])).toMatchObject({
      code: 0,
      stdout: '2790\n',
    });
    const run = await sjs(['run', built.tag, '--json', '--', '65', '17', '3233']);
    const record = JSON.parse(run.stdout) as { id: string };
    expect(record).toMatchObject({
      formatVersion: 1,
      tag: built.tag,
      seal: built.seal,
      state: 'succeeded',
      exitCode: 0,
      oomKilled: false,
      args: ['65', '17', '3233'],
      output: { stdout: '2790\n', stderr: '' },
      network: { mode: 'none' },
      replayOf: null,
    });
    const replayed = await sjs(['replay', record.id, '--json']);
    expect(replayed.code).toBe(0);
    expect(JSON.parse(replayed.stdout)).toMatchObject({ reproduced: true, differences: [] });
    expect((await sjs(['replay', built.tag])).stdout).toContain('reproduced');
    const runs = JSON.parse((await sjs(['runs', '--json'])).stdout) as { id: string }[];
    expect(runs.length).toBe(4);
    expect((await sjs(['logs', record.id])).stdout).toBe('2790\n');
    expect(JSON.parse((await sjs(['inspect', record.id])).stdout)).toMatchObject({ id: record.id });
  });

  test('the name and seven digits of the seal mean the same image; unknown targets are 127', async () => {
    for (const target of ['mod-exp', built.seal.slice(7, 14), built.seal]) {
      expect(await sjs(['run', target, '--', '2', '10', '1000'])).toMatchObject({ code: 0, stdout: '24\n' });
    }
    const missing = await sjs(['run', 'nothing', '--json']);
    expect(missing.code).toBe(127);
    expect(errorOf(missing).code).toBe('TARGET_NOT_FOUND');
  });

  test('unchanged input answers without a build, and is verified all the same', async () => {
    expect(await build(folder)).toMatchObject({ seal: built.seal, cached: true });
    const policy = join(await makeFolder(), 'policy.yaml');
    await writeFile(policy, 'apiVersion: sjs/v1\nkind: Policy\n', { mode: 0o600 });
    const refused = await sjs(['build', folder, '--json'], { env: { SJS_POLICY: policy } });
    expect(refused.code).not.toBe(0);
  });

  test('verify checks every link, and what it says to run by hand works for a stranger', async () => {
    const { code, stdout } = await sjs(['verify', '--verbose', built.tag]);
    expect(code).toBe(0);
    const commands = stdout.slice(stdout.indexOf('cat > base.pub'));
    const printed = execFileSync('sh', ['-euc', commands], {
      cwd: await makeFolder(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(printed).toContain(world.digest);
    expect(printed).toContain(built.imageId);
  });

  test('images lists it; rm removes it; then it is gone', async () => {
    const other = await makeFolder({ 'sandbox.yaml': sandboxYaml('short-lived'), 'index.js': '' });
    const { tag } = await build(other);
    expect(
      (JSON.parse((await sjs(['images', '--json'])).stdout) as Build[]).map((image) => image.tag),
    ).toContain(tag);
    expect((await sjs(['rm', tag])).code).toBe(0);
    expect((await sjs(['run', tag])).code).toBe(127);
    expect(() => docker('image', 'inspect', tag)).toThrow();
  });
});

describe('the seal', () => {
  const files = {
    'sandbox.yaml': sandboxYaml('sealed', '  env: { A: "1" }\n'),
    'index.js': 'console.log(process.env.A)\n',
    'lib/x.js': '1',
  };

  test('is the same from another folder, with other times, modes, umask, TZ and locale', async () => {
    const one = await build(await makeFolder(files));
    const folder = await makeFolder(files);
    await chmod(join(folder, 'index.js'), 0o600);
    execFileSync('touch', ['-d', '2001-02-03', join(folder, 'index.js')]);
    // Without sjs's index; without the builder's cache: everywhere.test.ts.
    const otherHome = await makeFolder();
    const command = `umask 077; exec "$0" dist/cli/main.cjs build "$1" --json`;
    const stdout = execFileSync('sh', ['-c', command, process.execPath, folder], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: otherHome,
        SJS_POLICY: world.policyFile,
        TZ: 'Asia/Kolkata',
        LC_ALL: 'tr_TR.UTF-8',
      },
    });
    expect(JSON.parse(stdout)).toMatchObject({ seal: one.seal, cached: false });
  });

  test.each([
    ['one byte of source', { 'index.js': 'console.log(process.env.A);\n' }],
    [
      'one limit',
      { 'sandbox.yaml': sandboxYaml('sealed', '  env: { A: "1" }\n  resources: { pids: 63 }\n') },
    ],
    ['one env value', { 'sandbox.yaml': sandboxYaml('sealed', '  env: { A: "2" }\n') }],
  ])('changes with %s', async (_name, change) => {
    const one = await build(await makeFolder(files));
    expect((await build(await makeFolder({ ...files, ...change }))).seal).not.toBe(one.seal);
  });

  describe('is not to be fooled: refused at run', () => {
    let built: Build;
    beforeAll(async () => {
      built = await build(
        await makeFolder({ 'sandbox.yaml': sandboxYaml('victim'), 'index.js': 'console.log("mine")' }),
      );
    });

    const restore = (): string => docker('tag', built.imageId, built.tag);
    const derive = (dockerfile: string, tag: string): string =>
      execFileSync('docker', ['build', '-q', '-t', tag, '-'], {
        input: `FROM ${built.tag}\n${dockerfile}`,
        encoding: 'utf8',
        env: { ...process.env, DOCKER_BUILDKIT: '1' },
      });

    test.each([
      ['VOLUME /data'],
      ['HEALTHCHECK CMD ["node", "-e", "0"]'],
      ['STOPSIGNAL SIGUSR1'],
      ['EXPOSE 80'],
      ['USER 0:0'],
    ])('a look-alike with %s', async (instruction) => {
      derive(instruction, built.tag);
      const result = await sjs(['run', built.tag, '--json']);
      expect(result.code).toBe(126);
      expect(errorOf(result).code).toBe('SEAL_MISMATCH');
      restore();
    });

    test('a docker commit, and a loaded image whose labels claim more than the policy', async () => {
      const container = docker('create', built.tag);
      docker('commit', container, 'sjs/committed:1');
      docker('rm', container);
      const plan = JSON.parse(
        docker('image', 'inspect', '--format', '{{index .Config.Labels "dev.sjs.plan"}}', built.tag),
      ) as { resources: object };
      const greedy = JSON.stringify({
        ...plan,
        resources: { ...plan.resources, memoryBytes: 64 * 1024 ** 3 },
      });
      derive(`LABEL dev.sjs.plan=${JSON.stringify(greedy)}`, 'sjs/greedy:1');
      const file = join(await makeFolder(), 'image.tar');
      docker('save', '-o', file, 'sjs/greedy:1');
      docker('image', 'rm', 'sjs/greedy:1');
      docker('load', '-i', file);
      for (const target of ['sjs/committed:1', 'sjs/greedy:1']) {
        const result = await sjs(['run', target, '--json']);
        expect(result.code).toBe(126);
        expect(errorOf(result).code).toBe('SEAL_UNTRUSTED');
        docker('image', 'rm', target);
      }
    });
  });

  test('a seal that the policy no longer allows is refused at run and at replay', async () => {
    const built = await build(
      await makeFolder({ 'sandbox.yaml': sandboxYaml('bounded'), 'index.js': 'console.log(1)' }),
    );
    const run = JSON.parse((await sjs(['run', built.tag, '--json'])).stdout) as { id: string };
    const policy = join(await makeFolder(), 'policy.yaml');
    for (const line of ['limits: { memory: 64Mi }', `deny: { digests: ["${world.digest}"] }`]) {
      await writeFile(policy, `apiVersion: sjs/v1\nkind: Policy\n${line}\n`, { mode: 0o600 });
      for (const command of [
        ['run', built.tag],
        ['replay', run.id],
      ]) {
        const result = await sjs([...command, '--json'], { env: { SJS_POLICY: policy } });
        expect(result.code).toBe(126);
        expect(['POLICY_VIOLATION', 'BASE_DENIED']).toContain(errorOf(result).code);
      }
    }
  });
});
