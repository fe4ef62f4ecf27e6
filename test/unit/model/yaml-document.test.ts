import { describe, expect, test } from '@jest/globals';
import { SjsError } from '../../../src/errors.js';
import { parseYaml } from '../../../src/model/yaml-document.js';

const parse = (text: string, file = '/home/u/sandbox.yaml') => parseYaml(Buffer.from(text), file);

function failure(text: string, file?: string): SjsError {
  try {
    parse(text, file);
  } catch (error) {
    expect(error).toBeInstanceOf(SjsError);
    return error as SjsError;
  }
  throw new Error('nothing was refused');
}

describe('places', () => {
  test('of keys, of list items, and of the nearest parent', () => {
    const { locate } = parse('a:\n  b: 1\n  c: [x, { d: 2 }]\n');
    expect(locate('a.b')).toEqual({ line: 2, column: 3 });
    expect(locate('a.c.1.d')).toEqual({ line: 3, column: 12 });
    expect(locate('a.c.0')).toEqual({ line: 3, column: 7 });
    expect(locate('a.nothing.here')).toEqual({ line: 1, column: 1 });
    expect(locate('')).toEqual({ line: 1, column: 1 });
  });

  test('a key with dots is found by its parts, and is not taken for a path', () => {
    const { locate } = parse('"a.b": 1\na:\n  b: 2\n');
    expect(locate('a.b')).toEqual({ line: 3, column: 3 });
    expect(locate(['a.b'])).toEqual({ line: 1, column: 2 });
  });

  test.each(['\n', '\r\n', '\r'])('lines end with %j', (end) => {
    const { locate, excerpt } = parse(['a: 1', 'b: 2', 'c: 3'].join(end));
    expect(locate('b')).toEqual({ line: 2, column: 1 });
    expect(excerpt('b')).toBe('2 | b: 2\n  | ^');
  });

  test('a long line is cut around the place', () => {
    const { excerpt } = parse(
      `{ ${'a: 1, '.repeat(1)}${Array.from({ length: 400 }, (_, at) => `k${at}: 1`).join(', ')} }`,
    );
    const [line = '', caret = ''] = excerpt('k300').split('\n');
    expect(line.length).toBeLessThan(130);
    expect(line.slice(caret.indexOf('^')).startsWith('k300')).toBe(true);
  });
});

describe('what may be shown', () => {
  const key =
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----\n';

  test.each([
    ['/home/u/.ssh/id_rsa', key, false],
    ['/home/u/.docker/config.json', '{"auths":{"r":{"auth":"c2VjcmV0"}}}', false],
    ['/home/u/.kube/config', 'apiVersion: v1\nusers: []\n', false],
    ['/home/u/sandbox.yaml', 'a: 1', true],
    ['/home/u/sandbox.yml', 'a: 1', true],
    ['/home/u/mysandbox.yaml', 'a: 1', false],
    ['/home/u/job', '# mine\napiVersion: "sjs/v1"\n', true],
  ])('of %s', (file, text, mayQuote) => {
    expect(parse(text, file).mayQuote).toBe(mayQuote);
  });

  test.each([
    ['no YAML', '[default]\naws_secret_access_key = "c2VjcmV0'],
    ['a tag', 'a: !c2VjcmV0 x'],
    ['an alias', 'a: *c2VjcmV0'],
    ['a duplicate', 'c2VjcmV0: 1\nc2VjcmV0: 2'],
    ['a control character', 'c2VjcmV0\u0007'],
  ])('C09: an error of another program’s file has nothing of it: %s', (_name, text) => {
    const error = failure(text, '/home/u/.credentials');
    expect(JSON.stringify([error.message, error.problems, error.next])).not.toContain('c2VjcmV0');
    expect(error.location).toMatchObject({ file: '/home/u/.credentials', line: expect.any(Number) });
  });
});

describe('what cannot be seen', () => {
  test.each([
    ['a tag character', '\u{e0041}', '\\u{e0041}'],
    ['a Hangul filler', '\u3164', '\\u3164'],
    ['a bidi override', '\u202e', '\\u202e'],
    ['NEL', '\u0085', '\\u0085'],
    ['a zero-width joiner', '\u200d', '\\u200d'],
  ])('%s is named by its number, also after an emoji', (_name, character, shown) => {
    const error = failure(`# 😀😀 ${character}\na: 1`);
    expect(error).toMatchObject({ code: 'YAML_SYNTAX', location: { line: 1, column: 8 } });
    expect(error.message).toContain(`the character ${shown} cannot be seen`);
    expect(error.problems[0]?.snippet).not.toContain(character);
  });

  test('what can be seen is allowed in any script', () => {
    expect(parse('a: "naïve 日本語 עברית العربية 😀"').value).toEqual({ a: 'naïve 日本語 עברית العربية 😀' });
  });
});

/** 250 KiB of one thing. */
const flood = (one: (index: number) => string): string => {
  let text = '';
  for (let index = 0; text.length < 250 * 1024; index += 1) text += one(index);
  return text;
};

describe('a file that is made to cost', () => {
  test.each([
    ['C01 anchors', flood((at) => `- &a${at}\n`), 'YAML_ALIAS'],
    ['C02 50,000 merges', flood((at) => `t${at}: {<<: {}}\n`), 'YAML_MERGE'],
    ['C04 brackets', '['.repeat(250_000), 'YAML_DEPTH'],
    ['C04 braces', flood(() => '{a: '), 'YAML_DEPTH'],
    ['C04 dashes', flood(() => '- '), 'YAML_DEPTH'],
    ['C04 question marks', flood(() => '? '), 'YAML_DEPTH'],
    ['documents', flood(() => '---\n'), 'YAML_MULTIPLE_DOCUMENTS'],
    ['TAG directives', flood((at) => `%TAG !a${at}! x\n`), 'YAML_MULTIPLE_DOCUMENTS'],
    ['keys', flood((at) => `k${at}: 1\n`), 'FILE_TOO_LARGE'],
    ['values', `a: [${flood(() => '1,')}]`, 'FILE_TOO_LARGE'],
    ['an open quote', `a: "${flood(() => '\\u0041')}`, 'YAML_SYNTAX'],
    ['a tag of 200 KiB', `a: !${'t'.repeat(200_000)} 1`, 'YAML_TAG'],
  ])('%s: refused at once, in few words', (_name, text, code) => {
    const started = performance.now();
    const error = failure(text);
    // js-yaml's own time for it; what was quadratic took 50 s.
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(error).toMatchObject({ code });
    expect(error.message.length).toBeLessThan(500);
  });

  test('a long key does not cost its length again for each key below it', () => {
    const started = performance.now();
    const { locate } = parse(
      `${'k'.repeat(100_000)}:\n${Array.from({ length: 5000 }, (_, at) => `  a${at}: 1`).join('\n')}`,
    );
    expect(locate(`${'.'.repeat(100_000)}`)).toEqual({ line: 1, column: 1 });
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

test('C03: friends of __proto__ are own keys', () => {
  const value = parse('__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 1 } }')
    .value as object;
  expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});
