import { describe, expect, test } from '@jest/globals';
import { parseArgs } from '../../../src/cli/parse-args.js';
import { runVerb } from '../../../src/cli/verbs/run.js';
import { runsVerb } from '../../../src/cli/verbs/runs.js';
import { validateVerb } from '../../../src/cli/verbs/validate.js';
import type { SjsError } from '../../../src/index.js';

const parseRun = (...words: string[]) => parseArgs('run', runVerb, words);

const errorOf = (work: () => unknown): SjsError => {
  try {
    work();
  } catch (error) {
    return error as SjsError;
  }
  throw new Error('nothing was refused');
};

test('an option whose value may be left out never takes the next word', () => {
  const bare = parseRun('--receipt', 'job');
  expect([bare.value('receipt'), bare.positionals]).toEqual(['', ['job']]);
  expect(parseRun('--receipt=r.json', 'job').value('receipt')).toBe('r.json');
  expect(parseRun('job').value('receipt')).toBeUndefined();
  expect(errorOf(() => parseRun('--receipt', '--receipt=x', 'job')).message).toContain('more than once');
  expect(parseRun('job', '--', '--receipt').programArgs).toEqual(['--receipt']);
});

test('a dash is a value', () => {
  const { value, positionals } = parseRun('--stdin', '-', '-');
  expect([value('stdin'), positionals]).toEqual(['-', ['-']]);
});

describe('what follows --', () => {
  test('reaches the program untouched', () => {
    const args = ['65', '017', '0x1', '1e3', '', ' ', '--json', '-e', '--', '--no-x', '1.0', 'NaN', '-0'];
    expect(parseRun('job', '--', ...args).programArgs).toEqual(args);
  });

  test('is told apart from nothing', () => {
    expect(parseRun('job').programArgs).toBeNull();
    expect(parseRun('job', '--').programArgs).toEqual([]);
  });

  test('is a positional of verbs that run nothing', () => {
    expect(parseArgs('validate', validateVerb, ['a', '--', '-b']).positionals).toEqual(['a', '-b']);
  });
});

describe('options', () => {
  test('take their value in each of the usual ways', () => {
    for (const words of [['-m', '64Mi'], ['-m64Mi'], ['-m=64Mi'], ['--memory', '64Mi'], ['--memory=64Mi']]) {
      expect(parseRun(...words, 'job').value('memory')).toBe('64Mi');
      expect(parseRun('job', ...words).positionals).toEqual(['job']);
    }
  });

  test('that are switches can be said to be true or false, and nothing else', () => {
    expect(parseRun('job', '--raw=true').has('raw')).toBe(true);
    expect(parseRun('job', '--raw=false').has('raw')).toBe(false);
    expect(errorOf(() => parseRun('job', '--json=1'))).toMatchObject({
      code: 'USAGE',
      message: '--json is a switch, and "1" is neither true nor false',
    });
  });

  test('need the value they take', () => {
    expect(errorOf(() => parseRun('job', '--policy='))).toMatchObject({
      code: 'USAGE',
      message: '--policy needs a value',
    });
  });

  test('stay texts', () => {
    expect(parseRun('1e3', '--timeout', '010', '-e', 'A=0x10', '-e', 'B.c=1').values('env')).toEqual([
      'A=0x10',
      'B.c=1',
    ]);
    expect(parseRun('1e3').positionals).toEqual(['1e3']);
    expect(parseRun('0123456').positionals).toEqual(['0123456']);
  });

  test("know docker's names of the same", () => {
    const input = parseRun('--cpus', '0.5', '--pids-limit', '9', '--rm', '--network', 'none', 'job');
    expect(input.value('cpu')).toBe('0.5');
    expect(input.value('pids')).toBe('9');
  });

  test('that begin with no- are what they say', () => {
    expect(parseArgs('runs', runsVerb, ['--no-trunc', '-q']).has('no-trunc')).toBe(true);
    expect(parseArgs('runs', runsVerb, []).has('no-trunc')).toBe(false);
  });

  test.each([
    [['--memry', '5', 'job'], 'there is no option --memry', 'did you mean --memory?'],
    [['--tiemout=5s', 'job'], 'there is no option --tiemout', 'did you mean --timeout?'],
    [['-x', 'job'], 'there is no option -x', 'sjs run --help shows how'],
    [['job', '--memory'], '--memory needs a value', 'sjs run --help shows how'],
    [['-m', '1', '-m', '2', 'job'], '--memory is given more than once', 'sjs run --help shows how'],
    [
      ['job', '65', '17'],
      '"65 17" was not expected',
      'arguments for the program come after --: sjs run job -- 65 17',
    ],
  ])('%j are refused', (words, message, next) => {
    expect(errorOf(() => parseRun(...words))).toMatchObject({ code: 'USAGE', message, next });
  });
});
