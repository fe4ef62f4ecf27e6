import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callVerb } from '../../../src/cli/verbs/call.js';
import type { CallOptions, CallOutcome, RunRecord, Sjs } from '../../../src/index.js';
import { asRunning } from '../../support/running.js';
import { makeRecord } from '../../support/records.js';
import { memoryStream, runVerbWith } from './fake-context.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'sjs-call-verb-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A library whose call ends like this. */
function fakeCall(outcome: CallOutcome, record: Partial<RunRecord> = {}) {
  const asked: { target?: unknown; name?: string; args?: string; options?: CallOptions }[] = [];
  const sjs: Partial<Sjs> = {
    call(target, name, args, options = {}) {
      asked.push({ target, name, args: Buffer.from(args as Uint8Array).toString(), options });
      const end = async () => {
        await options.onStdout?.(Buffer.from('written\n'));
        return { ...outcome, record: makeRecord(record) };
      };
      return asRunning(end());
    },
  };
  return { sjs, asked };
}
const call = async (words: readonly string[], outcome: CallOutcome = { outcome: 'result' }, more: object = {}) => {
  const { sjs, asked } = fakeCall(outcome, more);
  return { ...(await runVerbWith('call', callVerb, words, sjs, more)), asked: asked[0] };
}; // prettier-ignore

describe('arguments', () => {
  test('are kept as they were written', async () => {
    const file = join(folder, 'data.json');
    await writeFile(file, '\ufeff{ "a": 1 }\n');
    const words = ['job', 'quote', '12345678901234567890', '"a b"', '--data', file, '--data', '-', '--', '-0'];
    const { asked } = await call(words, undefined, { stdin: '[1]' });
    expect(asked).toMatchObject({ target: 'job', name: 'quote', args: `[12345678901234567890,"a b",-0,{ "a": 1 }\n,[1]]` });
  }); // prettier-ignore

  test('may be none', async () => {
    expect((await call(['job', 'quote'])).asked).toMatchObject({ args: '[]' });
  });

  test('of code', async () => {
    const { asked } = await call(['-e', 'export default 1', 'default', '1']);
    expect(asked).toMatchObject({ target: { name: 'eval' }, name: 'default', args: '[1]' });
    expect((await call(['--eval', 'a', '-e', 'A=1', 'default'])).asked).toMatchObject({
      options: { env: { A: '1' } },
    });
    const piped = await call(['-', 'default'], undefined, { stdin: 'export default 1' });
    expect(piped.asked).toMatchObject({ target: { name: 'stdin' }, name: 'default' });
  });

  test.each<[string, string[], object]>([
    ['no function', ['job'], { code: 'USAGE', message: expect.stringContaining('<function> is missing') }],
    ['no function of code', ['-e', 'export default 1'], { code: 'USAGE' }],
    ['a word that is no JSON', ['job', 'f', 'hello'], { code: 'ARGUMENTS_INVALID', next: `a text is JSON in quotes of its own: '"hello"'` }],
    ['JSON that is broken', ['job', 'f', '{"a":'], { code: 'ARGUMENTS_INVALID', next: 'check its quotes and commas' }],
    ['two values in one word', ['job', 'f', '1,2'], { code: 'ARGUMENTS_INVALID' }],
    ['a file that is not there', ['job', 'f', '--data', '/none'], { code: 'USAGE' }],
    ['a file that is no UTF-8', ['job', 'f', '--data', process.execPath], { code: 'ARGUMENTS_INVALID' }],
    ['standard input twice', ['-', 'f', '--data', '-'], { code: 'USAGE' }],
    ['a key and no receipt', ['job', 'f', '--key', 'k'], { code: 'USAGE' }],
  ])('%s is an error', async (_, words, error) => {
    await expect(call(words, undefined, { stdin: '1' })).rejects.toMatchObject(error);
  }); // prettier-ignore
});

describe('what is printed', () => {
  test.each<[string, CallOutcome, Partial<RunRecord>, object]>([
    ['a value', { outcome: 'result', value: { a: ['\ud800'] } }, {}, { status: 0, stdout: '{"a":["\\ud800"]}\n', stderr: 'written\n' }],
    ['undefined', { outcome: 'result' }, {}, { status: 0, stdout: '' }],
    ['null', { outcome: 'result', value: null }, {}, { status: 0, stdout: 'null\n' }],
    ['an error', { outcome: 'threw', error: { name: 'A', message: 'b', stack: 'A: b\n    at c' } }, { state: 'failed', exitCode: 1 }, { status: 1, stdout: '', stderr: 'written\nA: b\n    at c\n' }],
    ['an error without a stack', { outcome: 'threw', error: { name: '', message: 'b', stack: '' } }, { state: 'failed', exitCode: 1 }, { stderr: 'written\nb\n' }],
    ['an exit', { outcome: 'exited', exitCode: 0 }, { state: 'failed', exitCode: 0 }, { status: 1, stdout: '', stderr: 'written\nsjs: the program ended itself with 0, and gave no result\n' }],
    ['an exit with a code', { outcome: 'exited', exitCode: 3 }, { state: 'failed', exitCode: 3 }, { status: 3 }],
    ['a timeout', { outcome: 'timed-out' }, { state: 'timed-out', exitCode: 137 }, { status: 124, stderr: 'written\nsjs: timed out after 30s\n' }],
    ['memory', { outcome: 'out-of-memory' }, { state: 'out-of-memory' }, { status: 137 }],
    ['output', { outcome: 'output-limit' }, { state: 'output-limit' }, { status: 137 }],
    ['a kill', { outcome: 'killed' }, { state: 'killed' }, { status: 137 }],
    ['an interrupt', { outcome: 'interrupted' }, { state: 'interrupted', signal: 'SIGINT' }, { status: 130 }],
  ])('of %s', async (_, outcome, record, expected) => {
    expect(await call(['job', 'f'], outcome, record)).toMatchObject(expected);
  }); // prettier-ignore

  test('one document with --json', async () => {
    const { stdout, stderr } = await call(['job', 'f', '--json'], { outcome: 'result', value: 1 });
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'result', value: 1, state: 'succeeded', output: { stdout: 'written\n' } }); // prettier-ignore
    expect(stderr).toBe('');
  });

  test('nothing that would steer a terminal', async () => {
    const terminal = memoryStream({ isTTY: true });
    const outcome: CallOutcome = { outcome: 'result', value: '\u009b2J\u202e' };
    await runVerbWith('call', callVerb, ['job', 'f'], fakeCall(outcome).sjs, { stdout: terminal });
    expect(terminal.text()).not.toMatch(/[\u009b\u202e]/);
  });
});
