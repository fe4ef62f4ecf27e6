import { describe, expect, test } from '@jest/globals';
import { nearest } from '../../../src/model/nearest.js';
import { selectVerb } from '../../../src/cli/select-verb.js';

describe('the verb', () => {
  test.each([
    [['run', 'x', '--', '--json'], 'run', ['x', '--', '--json']],
    [['--json', 'runs', '-n', '1'], 'runs', ['--json', '-n', '1']],
    [['--policy', 'p.yaml', 'base', 'ls', '-q'], 'base ls', ['--policy', 'p.yaml', '-q']],
    [['--policy=p.yaml', 'policy', 'show', 'dir'], 'policy show', ['--policy=p.yaml', 'dir']],
    [['validate', 'run'], 'validate', ['run']],
    [['receipt', '01K5ZQ8V'], 'receipt', ['01K5ZQ8V']],
    [['receipt', 'verify', 'x'], 'receipt verify', ['x']],
    [['help', 'run'], 'run', ['--help']],
    [['help', 'base', 'ls'], 'base ls', ['--help']],
  ])('of %j is found', (argv, verb, rest) => {
    expect(selectVerb(argv)).toEqual({ verb, group: null, rest });
  });

  test('can be absent', () => {
    expect(selectVerb([])).toEqual({ verb: null, group: null, rest: [] });
    expect(selectVerb(['--help'])).toEqual({ verb: null, group: null, rest: ['--help'] });
    expect(selectVerb(['help'])).toEqual({ verb: null, group: null, rest: ['--help'] });
    expect(selectVerb(['help', 'base'])).toEqual({ verb: null, group: 'base', rest: ['--help'] });
    expect(selectVerb(['base', '--help'])).toEqual({ verb: null, group: 'base', rest: ['--help'] });
    expect(selectVerb(['--', 'run'])).toMatchObject({ verb: null });
  });

  test.each([
    [['rn'], 'did you mean `sjs run`?'],
    [['biuld', '--all'], 'did you mean `sjs build`?'],
    [['base', 'improt', 'x'], 'did you mean `sjs base import`?'],
    [['base', 'zzz'], 'choose from base import, base ls, base verify'],
    [['zzz'], 'sjs --help lists the verbs'],
    [['constructor'], 'sjs --help lists the verbs'],
    [['ls'], 'did you mean `sjs images` or `sjs runs`?'],
    [['sign', 'my-job'], 'did you mean `sjs push --sign`?'],
    [['serve'], expect.any(String)],
  ])('of %j does not exist', (argv, next) => {
    expect(() => selectVerb(argv)).toThrow(expect.objectContaining({ code: 'USAGE', next }));
  });
});

test('the nearest word is one that few letters differ from', () => {
  expect(nearest('memry', ['memory', 'files'])).toBe('memory');
  expect(nearest('zzzzzz', ['memory', 'files'])).toBeUndefined();
  expect(nearest('', ['run'])).toBeUndefined();
});
