import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { createOwnStdin } from '../../../src/cli/own-stdin.js';
import { parseArgs } from '../../../src/cli/parse-args.js';
import { chooseTarget, parseCommand, refuseBrokenText } from '../../../src/cli/run-target.js';
import { runVerb } from '../../../src/cli/verbs/run.js';

const choose = async (words: readonly string[], stdin = '') => {
  const own = createOwnStdin(() => Readable.from([Buffer.from(stdin)]));
  const input = parseArgs('run', runVerb, words);
  const { target, envWords } = await chooseTarget(input, input.positionals, own);
  const shown =
    typeof target === 'string' ? target : { [target.name]: Buffer.from(target.code).toString('utf8') };
  return { target: shown, envWords, takenBy: own.takenBy };
};

test.each([
  [['hello.js'], 'hello.js', []],
  [['-e', 'A=1', 'hello.js'], 'hello.js', ['A=1']],
  [['-e', 'HOME_TOWN', 'job'], 'job', ['HOME_TOWN']],
  [['-e', 'console.log(1)'], { eval: 'console.log(1)' }, []],
  [['-e', '"a"; f("b")'], { eval: '"a"; f("b")' }, []],
  [['-e', "'a'"], { eval: "'a'" }, []],
  [['-e', 'A=1', '-e', 'f()'], { eval: 'f()' }, ['A=1']],
  [['--eval', 'x=5;f(x)'], { eval: 'x=5;f(x)' }, []],
  [['--eval', 'f()', '-e', 'A=1'], { eval: 'f()' }, ['A=1']],
])('%j means %j', async (words, target, envWords) => {
  expect(await choose(words, 'unread')).toEqual({ target, envWords, takenBy: null });
});

test('- is the code on standard input, which the program then does not get', async () => {
  expect(await choose(['-', '-e', 'A=1'], 'f()')).toEqual({
    target: { stdin: 'f()' },
    envWords: ['A=1'],
    takenBy: 'the code',
  });
});

test.each([
  [[], /<target> is missing/, /- for code on standard input/],
  [['-e', 'A=1'], /is a variable without a program, or code/, /sjs run --eval CODE/],
  [['-e', 'name'], /is a variable without a program, or code/, /sjs run --eval CODE/],
  [['-e', 'f()', '-e', 'g()'], /two pieces of code/, /one -e CODE/],
  [['-e', 'f()', 'job'], /is no variable/, /NAME=VALUE/],
  [['--eval', 'f()', 'job'], /two programs/, /after --/],
])('%j is refused: it can be read in two ways, or in none', async (words, message, next) => {
  await expect(choose(words)).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(message),
    next: expect.stringMatching(next),
  });
});

describe('--cmd', () => {
  test('is a JSON list of texts', () => {
    expect(parseCommand('["node","a b.js",""]')).toEqual(['node', 'a b.js', '']);
    expect(parseCommand(undefined)).toBeUndefined();
  });

  test.each(['node x.js', '[]', '[1]', '{"a":1}', '"node"', '["node"'])('%j is not', (text) => {
    expect(() => parseCommand(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

test('an argument that is not UTF-8 is refused, and one that has the replacement character is not', () => {
  const line = (bytes: number[]) => () => Uint8Array.from(bytes);
  expect(() => refuseBrokenText(['a\ufffd'], line([0x61, 0xff, 0]))).toThrow(/not UTF-8/);
  expect(() => refuseBrokenText(['a\ufffd'], line([0x61, 0xef, 0xbf, 0xbd, 0]))).not.toThrow();
  expect(() => refuseBrokenText(['\ufffd'], () => null)).not.toThrow();
});

test('standard input has one reader', async () => {
  const own = createOwnStdin(() => Readable.from([Buffer.from('x')]));
  expect(Buffer.from(await own.read('the secret A')).toString()).toBe('x');
  await expect(own.read('the code')).rejects.toMatchObject({
    code: 'USAGE',
    message: 'standard input is asked for twice: by the secret A and by the code',
  });
});
