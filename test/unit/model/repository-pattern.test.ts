import { describe, expect, test } from '@jest/globals';
import { isLoopback } from '../../../src/model/loopback.js';
import { matchesRepository } from '../../../src/model/repository-pattern.js';

describe('matchesRepository', () => {
  test.each([
    ['r.example.com/base/node', 'r.example.com/base/node'],
    ['r.example.com/base/*', 'r.example.com/base/node'],
    ['r.example.com/*/node', 'r.example.com/base/node'],
    ['r.example.com/**', 'r.example.com/base/node'],
    ['r.example.com/**', 'r.example.com'],
    ['**', 'r.example.com/base/node'],
    ['r.example.com/**/node', 'r.example.com/node'],
    ['r.example.com/**/node', 'r.example.com/a/b/node'],
    ['r.example.com/base/no*e', 'r.example.com/base/node'],
    ['r.example.com/base/n*d*', 'r.example.com/base/node'],
  ])('%s takes %s', (pattern, repository) => {
    expect(matchesRepository(pattern, repository)).toBe(true);
  });

  test.each([
    ['r.example.com/base/*', 'r.example.com/base/a/node'],
    ['r.example.com/base/*', 'r.example.com/base'],
    ['r.example.com/base/node', 'r.example.com/base/node2'],
    ['r.example.com/base/node', 'xr.example.com/base/node'],
    ['r.example.com/base/.*', 'r.example.com/base/node'],
    ['r.example.com/**/node', 'r.example.com/node/evil'],
    ['*.example.com/base', 'evil/x.example.com/base'],
    ['r.example.com/aba*aba', 'r.example.com/aba'],
    ['r.example.com/base', 'R.example.com/base'],
    ['', 'r.example.com/base'],
  ])('%s does not take %s', (pattern, repository) => {
    expect(matchesRepository(pattern, repository)).toBe(false);
  });
});

describe('isLoopback', () => {
  test.each(['127.0.0.1', '127.0.0.1:5000', '127.255.0.9:1', 'localhost', 'LOCALHOST:5000', '[::1]:5000'])(
    '%s is',
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );
  test.each([
    '127.0.0.1.example.com',
    'localhost.example.com',
    '128.0.0.1',
    '10.0.0.1',
    '[::2]',
    '127.1',
    '0.0.0.0',
    '127.0.0.1x',
  ])('%s is not', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});
