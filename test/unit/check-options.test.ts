import { describe, expect, test } from '@jest/globals';
import { checkOptions } from '../../src/model/check-options.js';
import { createSjs, Sandbox } from '../../src/index.js';

/** As an application has them that is not written in TypeScript. */
const wrong: readonly [Parameters<typeof checkOptions>[0], unknown, RegExp][] = [
  ['run', { args: 'Ada' }, /args of run is "Ada", and has to be a list of texts/],
  ['run', { args: [1, 2] }, /args of run is a list, and has to be a list of texts/],
  ['run', { stdin: 42 }, /stdin of run is 42, and has to be a readable stream/],
  ['run', { env: { A: 1 } }, /env of run is an object, and has to be an object of texts/],
  ['run', { timeoutMs: 10 }, /run has no option timeoutMs/],
  [
    'run',
    { limits: { timeout: 10 } },
    /limits of run is an object, and has to be an object of numbers, of milliCpu/,
  ],
  ['run', { onStdout: 'x' }, /has to be a function/],
  ['run', { signal: {} }, /has to be an AbortSignal/],
  ['run', { __proto__: null, constructor: 1 }, /run has no option constructor/],
  ['run', null, /options of run are no object/],
  ['runCode', { language: 'ruby' }, /has to be one of node, deno, bun, python/],
  [
    'createPool',
    { target: 'x', size: 0 },
    /size of createPool is 0, and has to be a whole number of at least 1/,
  ],
  ['Sandbox', { poolsize: 2 }, /Sandbox has no option poolsize/],
  ['Sandbox', { timeoutMs: '2s' }, /timeoutMs of Sandbox is "2s"/],
  ['Sandbox.run', { code: 'x', timeout: 1000 }, /Sandbox.run has no option timeout/],
];

describe('options of the library', () => {
  test.each(wrong)('%s %j is refused', (what, given, message) => {
    expect(() => checkOptions(what, given)).toThrow(message);
  });

  test('what is meant is told', () => {
    const nextOf = (what: Parameters<typeof checkOptions>[0], given: unknown): unknown => {
      try {
        checkOptions(what, given);
      } catch (error) {
        return (error as { next?: string }).next;
      }
    };
    expect(nextOf('runCode', { timeoutMs: 5 })).toBe('did you mean limits.timeoutMs?');
    expect(nextOf('Sandbox', { poolsize: 2 })).toBe('did you mean poolSize?');
  });

  test('what is right, or left undefined, is taken', () => {
    checkOptions('run', {
      args: null,
      env: { A: '1' },
      limits: { timeoutMs: 5, pids: undefined },
      stdin: null,
    });
    checkOptions('runCode', { data: undefined, language: 'python', signal: new AbortController().signal });
    checkOptions('Sandbox', {});
  });

  test('every function of the library asks, before it does anything', async () => {
    const sjs = createSjs({ env: { PATH: '' }, home: '/nonexistent' });
    const options = { timeoutMs: 5 } as never;
    const refused = { code: 'ARGUMENTS_INVALID' };
    await expect(sjs.run('x', options)).rejects.toMatchObject(refused);
    await expect(sjs.call('x', 'f', [], options)).rejects.toMatchObject(refused);
    await expect(sjs.call('x', undefined as never)).rejects.toMatchObject(refused);
    await expect(sjs.runCode('x', options)).rejects.toMatchObject(refused);
    await expect(sjs.createPool({ target: 'x', ...(options as object) } as never)).rejects.toMatchObject(
      refused,
    );
    expect(() => new Sandbox(options)).not.toThrow();
    expect(() => new Sandbox({ size: 1 } as never)).toThrow('Sandbox has no option size');
    await expect(new Sandbox({ sjs }).run({ code: 'x', timeoutMs: 100_000 })).rejects.toMatchObject({
      code: 'RIGHTS_WIDENED',
      next: expect.stringContaining('make the sandbox with as large a timeoutMs'),
    });
  });
});
