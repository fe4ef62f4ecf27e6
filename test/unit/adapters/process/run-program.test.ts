import { execFile } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { findProgram } from '../../../../src/adapters/process/find-program.js';
import { runProgram, type ProgramCall } from '../../../../src/adapters/process/run-program.js';
import { cleanPrograms, makePrograms } from '../../../support/programs.js';

cleanPrograms();

async function run(script: string, call: Partial<ProgramCall> = {}) {
  const path = await makePrograms({ tool: script });
  return runProgram({ program: 'tool', args: [], env: {}, path, timeoutMs: 10_000, ...call });
}

/** A process that was sent SIGKILL dies soon, not at once. */
async function isGone(pid: number): Promise<boolean> {
  for (let left = 100; left > 0; left -= 1) {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (state === '' || / [ZX] /.test(state)) return true;
    await delay(100);
  }
  return false;
}

describe('runProgram', () => {
  test('returns exit code and output, untrimmed', async () => {
    await expect(run('echo out; echo err >&2; exit 12')).resolves.toEqual({
      exitCode: 12,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
      missing: false,
      tooMuchOutput: false,
    });
  });

  test('passes arguments as they are, and the given environment alone', async () => {
    process.env['SJS_TEST_LEAK'] = 'leak';
    const result = await run('printf "%s|" "$@"; /usr/bin/env', {
      args: ['a b', '$(id)', '', '*'],
      env: { GIVEN: 'yes' },
    });
    delete process.env['SJS_TEST_LEAK'];
    expect(result.stdout).toMatch(/^a b\|\$\(id\)\|\|\*\|/);
    expect(result.stdout).toContain('GIVEN=yes');
    expect(result.stdout).not.toContain('leak');
  });

  test('gives stdin when there is text, and none when there is not', async () => {
    expect((await run('/bin/cat', { input: 'hello' })).stdout).toBe('hello');
    expect((await run('/bin/cat')).stdout).toBe('');
  });

  test('kills what outlives its time, with all that it started', async () => {
    const result = await run('/bin/sleep 1000 & echo $!; wait', { timeoutMs: 300 });
    expect(result).toMatchObject({ timedOut: true, exitCode: null });
    expect(await isGone(Number(result.stdout))).toBe(true);
  });

  test('kills what prints without end', async () => {
    const result = await run('exec /usr/bin/yes');
    expect(result).toMatchObject({ tooMuchOutput: true, timedOut: false });
    expect(result.stdout.length).toBeLessThanOrEqual(8 * 1024 ** 2);
  });

  test('kills on abort', async () => {
    const controller = new AbortController();
    const running = run('/bin/sleep 1000', { signal: controller.signal });
    setImmediate(() => controller.abort());
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(run('true', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('kills what runs when this process ends', async () => {
    const path = await makePrograms({ tool: 'echo $$ > "$PID"; exec /bin/sleep 1000' });
    const [module, pid] = [join(path, 'run-program.cjs'), join(path, 'pid')];
    await build({
      entryPoints: ['src/adapters/process/run-program.ts'],
      outfile: module,
      bundle: true,
      format: 'cjs',
      platform: 'node',
    });
    const call = { program: 'tool', args: [], env: { PID: pid }, path, timeoutMs: 60_000 };
    const script = `
      const { existsSync, readFileSync } = require('node:fs');
      const { runProgram } = require(${JSON.stringify(module)});
      void runProgram(${JSON.stringify(call)});
      setInterval(() => {
        if (existsSync(${JSON.stringify(pid)}) && readFileSync(${JSON.stringify(pid)}).length > 0) process.exit(0);
      }, 20);`;
    await promisify(execFile)(process.execPath, ['-e', script], { timeout: 60_000 });
    expect(await isGone(Number(await readFile(pid, 'utf8')))).toBe(true);
  });

  test('says when there is no such program', async () => {
    await expect(run('true', { program: 'absent' })).resolves.toMatchObject({
      missing: true,
      exitCode: null,
    });
    await expect(run('true', { program: '/absent/tool' })).resolves.toMatchObject({ missing: true });
    await expect(run('true', { program: '../tool' })).resolves.toMatchObject({ missing: true });
  });
});

describe('findProgram', () => {
  test('takes the first in PATH that can be executed', async () => {
    const [first, second, third] = await Promise.all([
      makePrograms(),
      makePrograms({ tool: 'true' }),
      makePrograms({ tool: 'true' }),
    ]);
    expect(findProgram('tool', [first, second, third].join(':'))).toBe(join(second, 'tool'));
    await chmod(join(second, 'tool'), 0o644);
    expect(findProgram('tool', [first, second, third].join(':'))).toBe(join(third, 'tool'));
  });

  test('passes over relative entries, and folders that anybody may write to', async () => {
    const folder = await makePrograms({ tool: 'true' });
    expect(findProgram('tool', `.::${folder.slice(1)}`)).toBeNull();
    expect(findProgram('bin/tool', dirname(folder))).toBeNull();
    await chmod(folder, 0o777);
    expect(findProgram('tool', folder)).toBeNull();
    await chmod(folder, 0o1777);
    expect(findProgram('tool', folder)).toBeNull();
  });
});
