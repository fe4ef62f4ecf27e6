import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { describeBlocked } from '../../../src/cli/run-ending.js';
import { runVerb } from '../../../src/cli/verbs/run.js';
import { SjsError } from '../../../src/errors.js';
import type { CodeTarget, ConnectionRecord, RunOptions, RunRecord, Sjs } from '../../../src/index.js';
import { asRunning } from '../../support/running.js';
import { memoryStream, runVerbWith } from './fake-context.js';

const limits = {
  milliCpu: 1000,
  memoryBytes: 256 * 1024 ** 2,
  pids: 64,
  files: 1024,
  timeoutMs: 30_000,
  outputBytes: 1024 ** 2,
};

type Asked = RunOptions & { target: string | CodeTarget };

/** A library whose run writes these and ends like this. */
function fakeRun(
  ending: Partial<RunRecord>,
  write: { stdout?: Uint8Array | string; stderr?: string; out?: Record<string, string> } = {},
): { sjs: Partial<Sjs>; asked: () => Asked } {
  let asked: Asked | undefined;
  return {
    sjs: {
      run: (target, options = {}) =>
        asRunning(
          (async () => {
            asked = { target, ...options };
            if (write.stdout !== undefined) await options.onStdout?.(Buffer.from(write.stdout as string));
            if (write.stderr !== undefined) await options.onStderr?.(Buffer.from(write.stderr));
            for (const [path, text] of Object.entries(write.out ?? {})) {
              await options.onArtifact?.(path, Readable.from([Buffer.from(text)]));
            }
            return {
              id: '01K5',
              state: 'succeeded',
              exitCode: 0,
              signal: null,
              error: null,
              limits,
              network: { mode: 'none', connections: [] },
              ...ending,
            } as RunRecord;
          })(),
        ),
    },
    asked: () => asked as Asked,
  };
}

test('the library gets what was asked', async () => {
  const { sjs, asked } = fakeRun({});
  await runVerbWith('run', runVerb, ['job', '-e', 'A=1', '-m', '64Mi', '--secret', 'T', '--', '017'], sjs, {
    env: { T: 'x' },
  });
  expect(asked()).toMatchObject({
    target: 'job',
    args: ['017'],
    env: { A: '1' },
    secrets: { T: 'x' },
    limits: { memoryBytes: 64 * 1024 ** 2 },
  });
});

test('a pipe gets the bytes, a terminal what cannot harm it', async () => {
  const hostile = Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x0a]);
  const pipe = memoryStream();
  await runVerbWith('run', runVerb, ['job'], fakeRun({}, { stdout: hostile }).sjs, { stdout: pipe });
  expect(pipe.bytes().equals(hostile)).toBe(true);

  const terminal = memoryStream({ isTTY: true });
  await runVerbWith('run', runVerb, ['job'], fakeRun({}, { stdout: hostile }).sjs, { stdout: terminal });
  expect(terminal.text()).toBe('\\x1b[2J\\xff\n');

  const raw = memoryStream({ isTTY: true });
  await runVerbWith('run', runVerb, ['--raw', 'job'], fakeRun({}, { stdout: hostile }).sjs, { stdout: raw });
  expect(raw.bytes().equals(hostile)).toBe(true);
});

test('on the terminal of a CI job workflow commands are broken up', async () => {
  const terminal = memoryStream({ isTTY: true });
  await runVerbWith('run', runVerb, ['job'], fakeRun({}, { stdout: '::add-path::/x\n' }).sjs, {
    stdout: terminal,
    env: { CI: 'true' },
  });
  expect(terminal.text()).not.toMatch(/^::/m);
});

test.each(['false', '0', ''])('CI=%s is no CI job: a pipe gets the bytes', async (CI) => {
  const pipe = memoryStream();
  const { sjs } = fakeRun({}, { stdout: '::add-path::/x\n' });
  await runVerbWith('run', runVerb, ['job'], sjs, { stdout: pipe, env: { CI } });
  expect(pipe.text()).toBe('::add-path::/x\n');
});

describe('--json', () => {
  test('is the record with the texts, and nothing is streamed', async () => {
    const { status, stdout, stderr } = await runVerbWith(
      'run',
      runVerb,
      ['--json', 'job'],
      fakeRun({ state: 'failed', exitCode: 3 }, { stdout: 'out\n', stderr: 'err\n' }).sjs,
    );
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      id: '01K5',
      state: 'failed',
      output: { stdout: 'out\n', stderr: 'err\n' },
    });
    expect(stderr).toBe('');
  });

  test('is the record too when its receipt cannot be signed; a key that cannot sign is found before', async () => {
    const { sjs } = fakeRun({}, { stdout: 'out\n' });
    const refuse = (code: 'COSIGN_FAILED' | 'USAGE') => () =>
      Promise.reject(new SjsError(code, 'no such key', { next: 'give another' }));
    const checkReceipt = () => Promise.resolve();
    const unsigned = { ...sjs, checkReceipt, makeReceipt: refuse('COSIGN_FAILED') };
    const words = ['--json', '--receipt', '--key', 'k', 'job'];
    const { status, stdout, stderr } = await runVerbWith('run', runVerb, words, unsigned);
    expect(status).toBe(125);
    expect(JSON.parse(stdout)).toMatchObject({
      id: '01K5',
      output: { stdout: 'out\n' },
      receiptError: {
        code: 'COSIGN_FAILED',
        message: expect.stringMatching(/^run 01K5 is over and recorded/),
        next: expect.stringContaining('sjs receipt 01K5 --key k'),
      },
    });
    expect(stderr).toContain('error[COSIGN_FAILED]');

    const run = () => asRunning(Promise.reject(new Error('it ran')));
    await expect(
      runVerbWith('run', runVerb, words, { ...sjs, run, checkReceipt: refuse('USAGE') }),
    ).rejects.toMatchObject({ code: 'USAGE', message: 'no such key' });
  });

  test('keeps what is no text as base64 too', async () => {
    const { stdout } = await runVerbWith(
      'run',
      runVerb,
      ['--json', 'job'],
      fakeRun({}, { stdout: Buffer.from([0xff, 0x41]) }).sjs,
    );
    const { output } = JSON.parse(stdout) as { output: Record<string, string> };
    expect(output).toEqual({ stdout: '\ufffdA', stdoutBase64: '/0E=', stderr: '' });
  });
});

describe('a status that is not the program’s own is said on stderr', () => {
  test.each([
    [{ state: 'timed-out', exitCode: 137 }, 124, 'sjs: timed out after 30s\n'],
    [{ state: 'out-of-memory', exitCode: 137 }, 137, 'sjs: out of memory: the limit is 256Mi\n'],
    [{ state: 'output-limit' }, 137, 'sjs: output limit of 1Mi reached; what was written before is kept\n'],
    [{ state: 'killed', exitCode: 137 }, 137, 'sjs: the sandbox was killed from outside\n'],
    [{ state: 'interrupted' }, 130, 'sjs: interrupted by SIGINT\n'],
    [
      { state: 'failed', exitCode: 139, signal: 'SIGSEGV' },
      139,
      'sjs: the program was ended by SIGSEGV (exit 139)\n',
    ],
  ] as const)('%j', async (ending, status, line) => {
    const result = await runVerbWith('run', runVerb, ['-q', 'job'], fakeRun(ending).sjs, {
      received: 'SIGINT',
    });
    expect(result).toMatchObject({ status, stderr: line });
  });

  test.each([[0], [1], [124], [125], [137]])('and %i of the program is not', async (exitCode) => {
    const state = exitCode === 0 ? 'succeeded' : 'failed';
    const result = await runVerbWith('run', runVerb, ['job'], fakeRun({ state, exitCode }).sjs);
    expect(result).toEqual({ status: exitCode, stdout: '', stderr: '' });
  });
});

test.each([
  ['EPIPE', 141, /nobody reads/],
  ['ENOSPC', 125, /ENOSPC/],
])('stdout that fails with %s ends the run', async (fail, status, line) => {
  const stdout = memoryStream({ fail });
  const result = await runVerbWith('run', runVerb, ['job'], fakeRun({}, { stdout: 'x' }).sjs, { stdout });
  expect(result.status).toBe(status);
  expect(result.stderr).toMatch(line);
  expect(result.stderr.trim().split('\n')).toHaveLength(1);
});

describe('--out', () => {
  const inFolder = async (work: (folder: string) => Promise<void>): Promise<void> => {
    const folder = await mkdtemp(join(tmpdir(), 'sjs-cli-'));
    try {
      await work(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test('gets the files of /out', () =>
    inFolder(async (folder) => {
      const out = join(folder, 'new/out');
      const { sjs } = fakeRun({}, { out: { 'a.txt': 'A', 'b/c.txt': 'C' } });
      await runVerbWith('run', runVerb, ['--out', out, 'job'], sjs);
      expect(await readFile(join(out, 'a.txt'), 'utf8')).toBe('A');
      expect(await readFile(join(out, 'b/c.txt'), 'utf8')).toBe('C');
    }));

  test('that has something in it is refused before anything runs', () =>
    inFolder(async (folder) => {
      const { sjs, asked } = fakeRun({}, { out: { 'a.txt': 'A' } });
      await runVerbWith('run', runVerb, ['--out', folder, 'job'], sjs);
      await expect(runVerbWith('run', runVerb, ['--out', folder, 'other'], sjs)).rejects.toMatchObject({
        code: 'USAGE',
      });
      expect(asked().target).toBe('job');
    }));

  test.each(['../x', '/etc/x', 'a/../../x', '', 'a//b', './a', 'a\0b', 'a\\..\\b'])(
    'takes no file %j',
    (path) =>
      inFolder(async (folder) => {
        const { sjs } = fakeRun({}, { out: { [path]: 'x' } });
        await expect(runVerbWith('run', runVerb, ['--out', folder, 'job'], sjs)).rejects.toMatchObject({
          code: path.includes('\\') ? 'STORE_FAILED' : 'ENGINE_FAILED',
        });
      }),
  );
});

test('the last line says which declaration would have allowed what was blocked', () => {
  const blocked = (name: string, port: number | null, reason = 'not declared'): ConnectionRecord => ({
    at: '2026-01-01T00:00:00.000Z',
    direction: 'out',
    name,
    address: null,
    port,
    sentBytes: 0,
    receivedBytes: 0,
    verdict: 'blocked',
    reason,
  });
  const say = (...connections: ConnectionRecord[]): string | null =>
    describeBlocked({
      network: { mode: 'isolated', gateway: null, ports: [], connections, omittedConnections: 0 },
    });
  expect(say()).toBeNull();
  expect(say(blocked('a.test', 80, 'no server name'))).toBeNull();
  expect(say(blocked('a.test', null), blocked('a.test', 443), blocked('a.test', 443))).toBe(
    'blocked, as not declared: network: { egress: ["a.test:443"] } would have allowed it',
  );
  const strange = ['a"]}, x:[', 'API.test', 'api.test.', '10.0.0.1', 'a.test:80=10.0.0.1', ''];
  expect(say(...strange.map((name) => blocked(name, 80)))).toBeNull();
  expect(say(...Array.from({ length: 7 }, (_, at) => blocked(`a${at}.test`, null)))).toMatch(
    /\["a0\.test:PORT", .*"a4\.test:PORT"\] } would have allowed it, and 2 more$/,
  );
});
