import { describe, expect, test } from '@jest/globals';
import type { SjsError } from '../../../src/errors.js';
import { hexOf, isDigest, sha256, shortDigest } from '../../../src/model/digest.js';
import { formatReference, formatRepository, parseReference } from '../../../src/model/reference.js';

const digest = sha256('x');

describe('a reference', () => {
  test.each([
    ['registry.example.com/base/node', { registry: 'registry.example.com', path: 'base/node' }],
    ['localhost:5000/node:22', { registry: 'localhost:5000', path: 'node', tag: '22' }],
    ['localhost/node', { registry: 'localhost', path: 'node' }],
    ['[::1]:5000/node', { registry: '[::1]:5000', path: 'node' }],
    ['node', { registry: 'docker.io', path: 'library/node' }],
    ['node:22', { registry: 'docker.io', path: 'library/node', tag: '22' }],
    ['docker.io/node', { registry: 'docker.io', path: 'library/node' }],
    ['bitnami/node', { registry: 'docker.io', path: 'bitnami/node' }],
    [`r.example/a@${digest}`, { registry: 'r.example', path: 'a', digest }],
    [`r.example:443/a:1@${digest}`, { registry: 'r.example:443', path: 'a', tag: '1', digest }],
  ])('%s', (text, parts) => {
    expect(parseReference(text)).toEqual(parts);
  });

  test.each([
    ['credentials', 'user:pw@r.example/node'],
    ['upper case', 'r.example/Node'],
    ['another algorithm', `r.example/node@sha512:${'a'.repeat(128)}`],
    ['upper case in the digest', `r.example/node@${digest.toUpperCase()}`],
    ['a URL', 'https://r.example/node'],
    ['an empty part', 'r.example//node'],
    ['a walk upwards', 'r.example/../node'],
    ['an empty part of the host', 'r..example/node'],
    ['a part of the host that ends with -', 'r-.example/node'],
    ['a blank', 'r.example/no de'],
    ['a line break', 'r.example/node\n'],
    ['an option', '-rm'],
    ['nothing', ''],
    ['a long tag', `r.example/node:${'a'.repeat(129)}`],
    ['513 characters', `r.example/${'a'.repeat(503)}`],
  ])('with %s is none', (_name, text) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: 'REFERENCE_INVALID', next: expect.any(String) }),
    );
  });

  test('an error shows neither what cannot be seen nor more than a line of it', () => {
    for (const text of ['a\u202eb', '\u001b[2J', 'x'.repeat(100_000)]) {
      try {
        parseReference(text);
      } catch (error) {
        expect((error as SjsError).message.length).toBeLessThan(400);
        // eslint-disable-next-line no-control-regex
        expect((error as SjsError).message).not.toMatch(/[\u202e\u001b]/);
      }
    }
  });

  test('is written as it was read', () => {
    const repository = { registry: 'r.example', path: 'a/b' };
    expect(formatRepository(repository)).toBe('r.example/a/b');
    expect(formatReference({ ...repository, tag: '1' })).toBe('r.example/a/b:1');
    expect(formatReference({ ...repository, digest })).toBe(`r.example/a/b@${digest}`);
  });
});

describe('a digest', () => {
  test('is sha256 in lower case and nothing else', () => {
    expect(isDigest(digest)).toBe(true);
    for (const other of [
      digest.toUpperCase(),
      digest.slice(1),
      `${digest}0`,
      `${digest}\n`,
      'sha256:',
      null,
      1,
      [digest],
    ])
      expect(isDigest(other)).toBe(false);
  });

  test('of text and of its bytes is one', () => {
    expect(sha256('é')).toBe(sha256(Buffer.from('é')));
    expect(sha256('')).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect([hexOf(digest).length, shortDigest(digest).length]).toEqual([64, 12]);
  });
});
