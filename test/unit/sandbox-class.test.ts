import { describe, expect, test } from '@jest/globals';
import type { CodePool, CodeResult, CreateCodePoolOptions, RunCodeOptions, Sjs } from '../../src/api.js';
import { SjsError } from '../../src/errors.js';
import { Sandbox, type SandboxResult } from '../../src/sandbox-class.js';
import { makeRecord } from '../support/records.js';
import { asRunning } from '../support/running.js';

type Given = Omit<RunCodeOptions, 'language'>;

/** A library whose pools run code so. */
function fakePools(run: (code: string, given: Given) => Promise<Partial<CodeResult>> = () => Promise.resolve({})) {
  const opened: CreateCodePoolOptions[] = [];
  const closed: string[] = [];
  const createPool = (options: CreateCodePoolOptions): Promise<CodePool> => {
    opened.push(options);
    const close = (): Promise<void> => Promise.resolve(void closed.push(options.language));
    return Promise.resolve({
      tag: 'sjs/code',
      ready: () => Promise.resolve(),
      status: () => ({}) as ReturnType<CodePool['status']>,
      run: (code, given = {}) =>
        asRunning(run(code, given).then((result) => ({ record: makeRecord(), ...result }))),
      close,
      [Symbol.asyncDispose]: close,
    });
  };
  const sjs = { createPool } as Partial<Sjs> as Sjs;
  return { sjs, opened, closed };
} // prettier-ignore

describe('a sandbox', () => {
  test('has one container, ten seconds and Python, when nobody says otherwise', async () => {
    const { sjs, opened } = fakePools();
    const limits: unknown[] = [];
    const sandbox = new Sandbox({ sjs: { ...sjs } });
    await sandbox.initialize();
    expect(opened).toMatchObject([{ language: 'python', size: 1, max: 1, limits: { timeoutMs: 60_000 } }]);
    const other = fakePools((_, given) => Promise.resolve(void limits.push(given.limits)).then(() => ({})));
    const slow = new Sandbox({
      sjs: other.sjs,
      poolSize: 3,
      timeoutMs: 90_000,
      memoryLimitMb: 64,
      language: 'node',
    });
    await slow.run('1');
    await slow.run({ code: '1', timeoutMs: 5 });
    expect(other.opened).toMatchObject([
      { language: 'node', size: 3, max: 3, limits: { timeoutMs: 90_000, memoryBytes: 64 * 1024 ** 2 } },
    ]);
    expect(limits).toEqual([{ timeoutMs: 90_000 }, { timeoutMs: 5 }]);
  });

  test('says how code ended, whatever it did', async () => {
    const { sjs } = fakePools(async (_, { onStdout, onStderr }) => {
      await onStdout?.(Buffer.from([0xe2, 0x82]));
      await onStderr?.(Buffer.from('e'));
      await onStdout?.(Buffer.from([0xac]));
      return { record: makeRecord({ state: 'timed-out', exitCode: 137, id: 'R' }), data: 7 };
    });
    const expected: SandboxResult = {
      stdout: '€',
      stderr: 'e',
      combined: 'e€',
      isError: true,
      timedOut: true,
      outOfMemory: false,
      exitCode: 137,
      data: 7,
      runId: 'R',
    };
    expect(await new Sandbox({ sjs }).run('x')).toEqual(expected);
  });

  test('says why there is no data', async () => {
    const dataError = { name: 'ResultError', message: 'it is a set', stack: '' };
    const { sjs } = fakePools(() => Promise.resolve({ dataError }));
    expect(await new Sandbox({ sjs }).run('x')).toMatchObject({ data: undefined, dataError: 'it is a set' });
  });

  test('calls back as Node does', async () => {
    const { sjs } = fakePools();
    const sandbox = new Sandbox({ sjs });
    const initialized = new Promise((done) => void sandbox.initialize(done));
    expect(await initialized).toBeNull();
    const ran = new Promise(
      (done) => void sandbox.run('x', (error, result) => done([error, result?.exitCode])),
    );
    expect(await ran).toEqual([null, 0]);
    expect(await new Promise((done) => void sandbox.cleanup(done))).toBeNull();
  });

  test('tells its own failures to the callback alone, when there is one', async () => {
    const { sjs } = fakePools(() => Promise.reject(new SjsError('ENGINE_UNREACHABLE', 'no engine')));
    const sandbox = new Sandbox({ sjs });
    const failed = new Promise((done) => void sandbox.run('x', (error) => done(error)));
    expect(await failed).toMatchObject({ code: 'ENGINE_UNREACHABLE' });
    await expect(sandbox.run('x')).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
  });

  test('opens a pool for each language once, and closes all', async () => {
    const { sjs, opened, closed } = fakePools();
    const sandbox = new Sandbox({ sjs });
    await Promise.all([sandbox.run('1'), sandbox.run('2'), sandbox.run({ code: '3', language: 'node' })]);
    expect(opened.map(({ language }) => language)).toEqual(['python', 'node']);
    await sandbox.cleanup();
    expect(closed).toEqual(['python', 'node']);
    await expect(sandbox.run('1')).rejects.toMatchObject({ code: 'POOL_CLOSED' });
  });

  test('asks again for a pool that could not be opened', async () => {
    const { sjs } = fakePools();
    let failures = 1;
    const createPool = (...words: Parameters<typeof sjs.createPool>) =>
      failures-- > 0 ? Promise.reject(new SjsError('BASE_NOT_PINNED', 'no base')) : sjs.createPool(...words);
    const sandbox = new Sandbox({ sjs: { ...sjs, createPool: createPool as Sjs['createPool'] } });
    await expect(sandbox.initialize()).rejects.toMatchObject({ code: 'BASE_NOT_PINNED' });
    await sandbox.initialize();
  });
});
