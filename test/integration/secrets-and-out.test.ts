import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sandboxName } from '../../src/adapters/docker/owner-labels.js';
import { makeRunId, openEngine, type EngineWorld, type PlanOverrides } from '../support/engine-run.js';

const execute = promisify(execFile);
const TAG = 'sjs-test/preload:integration';
// BuildKit takes a name in FROM, never an id.
const BASE_TAG = 'sjs-test/preload-base:integration';
const MIB = 1024 ** 2;

let world: EngineWorld;
let imageId: string;
beforeAll(async () => {
  world = await openEngine();
  await world.bundle('src/guest/secrets-preload.ts', 'secrets-preload.cjs');
  await execute('docker', ['tag', world.imageId, BASE_TAG]);
  const lines = [`FROM ${BASE_TAG}`, 'COPY secrets-preload.cjs /.sjs/secrets-preload.cjs'];
  await writeFile(join(world.folder, 'Dockerfile'), lines.join('\n'));
  await execute('docker', ['build', '-q', '-t', TAG, world.folder]);
  imageId = (await execute('docker', ['image', 'inspect', '--format', '{{.Id}}', TAG])).stdout.trim();
});
afterAll(async () => {
  await execute('docker', ['image', 'rm', TAG, BASE_TAG]);
  expect(await world.engine.listRuns(world.owner.home)).toEqual([]);
  await world.close();
});

/** A program with the preload, as the template renders it. */
function withSecrets(source: string, secrets: Record<string, string>, flags: string[] = []): PlanOverrides {
  const preload = '--require=/.sjs/secrets-preload.cjs';
  return {
    imageId,
    secrets,
    command: ['node', '--permission', '--allow-fs-read=*', ...flags, preload, '-e', source],
  };
}

describe('secrets', () => {
  test('are in the environment of the program, and the rest of stdin is the program’s', async () => {
    const secrets = { TOKEN: 'a"b\n\u00e9', BIG: 'x'.repeat(300_000) };
    const source =
      'console.log(JSON.stringify([process.env.TOKEN, process.env.BIG.length, "SJS_SECRETS" in process.env])); process.stdin.pipe(process.stdout)';
    const { stdout } = await world.run(withSecrets(source, secrets), { stdin: Buffer.from([0, 255, 10]) });
    expect(stdout).toEqual(
      Buffer.concat([Buffer.from('["a\\"b\\né",300000,false]\n'), Buffer.from([0, 255, 10])]),
    );
  });

  test('stand in no inspect, and not in /proc', async () => {
    const runId = makeRunId();
    let inspected = '';
    const source =
      'const fs = require("fs"); console.log(fs.readFileSync("/proc/self/environ") + fs.readFileSync("/proc/1/cmdline")); setTimeout(() => {}, 300)';
    const { stdout } = await world.run(withSecrets(source, { TOKEN: 'canary-7311' }), {
      runId,
      onStdout: async () => {
        const name = sandboxName(runId);
        inspected = JSON.stringify(await world.client.docker.getContainer(name).inspect());
      },
    });
    expect(stdout.toString()).not.toContain('canary');
    expect(inspected).toContain('SJS_SECRETS=frame');
    expect(inspected).not.toContain('canary');
  });

  test('an empty frame is taken off too', async () => {
    const source = 'console.log(require("fs").readFileSync(0, "utf8"))';
    const { stdout } = await world.run(withSecrets(source, {}), { stdin: Buffer.from('input') });
    expect(stdout.toString()).toBe('input\n');
  });

  test('workers and children leave stdin alone', async () => {
    const source = `const { Worker } = require('worker_threads'), { execFileSync } = require('child_process');
      console.log(execFileSync(process.execPath, ['-e', 'process.stdin.on("data", (d) => console.log("child", process.env.A, "" + d))'],
        { encoding: 'utf8', input: 'mine', stdio: ['pipe', 'pipe', 'ignore'] }).trim());
      new Worker('console.log("worker", process.env.A)', { eval: true }).on('exit', () => process.stdin.pipe(process.stdout))`;
    const flags = ['--allow-worker', '--allow-child-process', '--no-warnings'];
    const { stdout } = await world.run(withSecrets(source, { A: '1' }, flags), {
      stdin: Buffer.from('rest'),
    });
    expect(stdout.toString()).toBe('child 1 mine\nworker 1\nrest');
  });

  test('a frame that is missing stops the program with a line that says so', async () => {
    const { secrets: _, ...plan } = withSecrets('console.log("ran")', {});
    const { outcome, stdout, stderr } = await world.run({ ...plan, env: { SJS_SECRETS: 'frame' } });
    expect(outcome.exitCode).toBe(125);
    expect(stdout.toString()).toBe('');
    expect(stderr).toBe('sjs: the secrets could not be read: stdin ended before the secrets were complete\n');
  });
});

describe('/out', () => {
  const FS = 'const fs = require("fs");';
  const write = `${FS} fs.mkdirSync('/out/d'); fs.writeFileSync('/out/d/a', Buffer.alloc(100000, 7)); fs.writeFileSync('/out/b', '');`;
  const files = { b: Buffer.alloc(0), 'd/a': Buffer.alloc(100_000, 7) };
  const out = { filesystem: { outBytes: MIB, outInodes: 64 } };

  test.each([
    ['ends', '', {}, { end: 'exited', exitCode: 0 }],
    ['kills itself', 'process.kill(process.pid, 9)', {}, { end: 'exited', exitCode: 137 }],
    ['runs into its deadline', 'for(;;);', { timeoutMs: 1500 }, { end: 'timed-out' }],
    [
      'runs out of memory',
      'const a = []; for(;;) a.push(Buffer.alloc(1e7, 1))',
      { memoryBytes: 96 * MIB },
      { oomKilled: true },
    ],
    [
      'says too much',
      'for(;;) fs.writeSync(1, "x".repeat(65536))',
      { outputBytes: 1000 },
      { end: 'output-limit' },
    ],
  ])('its files come out when the program %s', async (_name, source, resources, expected) => {
    const { outcome, artifacts, skipped } = await world.run({ ...out, code: write + source, resources });
    expect(outcome).toMatchObject(expected);
    expect(artifacts).toEqual(files);
    expect(skipped).toEqual({});
  });

  test('links, pipes, locked folders, odd names and what claims too much stay behind, each with a reason', async () => {
    const source = `${FS} fs.symlinkSync('/etc/passwd', '/out/link'); fs.symlinkSync('/out', '/out/loop');
      fs.mkdirSync('/out/locked', 0); fs.writeFileSync('/out/a\\nb', ''); fs.writeFileSync('/out/\\u202ex', '');
      fs.writeFileSync(Buffer.concat([Buffer.from('/out/'), Buffer.from([255])]), '');
      fs.truncateSync(fs.openSync('/out/sparse', 'w') && '/out/sparse', 2 ** 25); fs.writeFileSync('/out/good', 'x')`;
    const { artifacts, skipped } = await world.run({ ...out, code: source });
    expect(Object.keys(artifacts)).toEqual(['good']);
    expect(skipped).toEqual({
      link: 'a symbolic link',
      loop: 'a symbolic link',
      locked: 'not readable',
      'a\\u000ab': 'its name has characters that cannot be shown',
      '\\u202ex': 'its name has characters that cannot be shown',
      '\ufffd': 'its name is not UTF-8',
      sparse: 'more bytes than /out may hold',
    });
  });

  test('hard links do not multiply what comes out', async () => {
    const source = `${FS} fs.writeFileSync('/out/0', Buffer.alloc(400000)); for (let i = 1; i < 5; i++) fs.linkSync('/out/0', '/out/' + i)`;
    const { artifacts, skipped } = await world.run({ ...out, code: source });
    expect(Object.keys(artifacts)).toEqual(['0', '1']);
    expect(Object.keys(skipped)).toEqual(['2', '3', '4']);
  });

  test('is limited in bytes and files, runs nothing, and is the user’s alone', async () => {
    const source = `${FS} let n = 0, code; try { for (;;) { fs.appendFileSync('/out/f', Buffer.alloc(65536)); n += 65536 } } catch (e) { code = e.code }
      fs.rmSync('/out/f'); let m = 0, many; try { for (;;) { fs.writeFileSync('/out/' + m, ''); m++ } } catch (e) { many = e.code }
      const mount = fs.readFileSync('/proc/mounts', 'utf8').match(/.* \\/out .*/)[0];
      fs.writeSync(1, JSON.stringify({ n, code, m, many, mount, mode: fs.statSync('/out').mode & 0o7777 }))`;
    const { stdout, artifacts } = await world.run({ ...out, code: source });
    const seen = JSON.parse(stdout.toString()) as Record<string, unknown>;
    expect(seen).toMatchObject({ code: 'ENOSPC', many: 'ENOSPC', mode: 0o700 });
    expect(seen['n']).toBeLessThanOrEqual(MIB);
    expect(seen['m']).toBeLessThan(64);
    expect(seen['mount']).toMatch(/^tmpfs \/out tmpfs rw,nosuid,nodev,noexec,/);
    expect(Object.keys(artifacts)).toHaveLength(seen['m'] as number);
  });

  test('a locked /out is said to be so', async () => {
    const { skipped } = await world.run({ ...out, code: `${FS} fs.chmodSync('/out', 0)` });
    expect(skipped).toEqual({ '.': 'not readable' });
  });
});
