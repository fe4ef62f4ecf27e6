import { describe, expect, test } from '@jest/globals';
import { escapeUnprintable, hasUnprintable, isEnvName, isReservedEnv } from '../../../src/model/sandbox.js';

describe('environment names', () => {
  test.each(['A', '_', 'API_TOKEN', 'a1', '__proto__', 'x'.repeat(128)])('%s is one', (name) => {
    expect(isEnvName(name)).toBe(true);
  });
  test.each(['', '1A', 'A=B', 'A B', 'A\n', 'A\0', 'Ä', 'A-B', 'x'.repeat(129)])('%j is none', (name) => {
    expect(isEnvName(name)).toBe(false);
  });

  test.each([
    ...['PATH', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'NODE_OPTIONS', 'NODE_PATH', 'SJS_HOME', 'SJS_', 'BASH_ENV'],
    ...[
      'node_options',
      'Path',
      'DYLD_INSERT_LIBRARIES',
      'OPENSSL_CONF',
      'SSLKEYLOGFILE',
      'NODE_TLS_REJECT_UNAUTHORIZED',
    ],
  ])('%s is reserved (C13)', (name) => {
    expect(isReservedEnv(name)).toBe(true);
  });
  test.each(['TZ', 'LANG', 'NODE_ENV', 'MYPATH', 'PATHS', 'LDAP_URL', 'XSJS_HOME'])('%s is free', (name) => {
    expect(isReservedEnv(name)).toBe(false);
  });
});

describe('what cannot be seen', () => {
  test.each([
    ...[
      '\0',
      '\u0007',
      '\n',
      '\t',
      '\u007f',
      '\u009b',
      '\u00ad',
      '\u200b',
      '\u2028',
      '\u202e',
      '\u2066',
      '\ufeff',
    ],
    ...['\u180e', '\u3164', '\u{e0041}', '\u{1d173}', '\ud800'],
  ])('%j is found, and escaped without a trace', (character) => {
    expect(hasUnprintable(`a${character}b`)).toBe(true);
    const escaped = escapeUnprintable(`a${character}b`);
    expect(escaped).toMatch(/^a\\u(?:[0-9a-f]{4}|\{[0-9a-f]{5}\})b$/);
    expect(hasUnprintable(escaped)).toBe(false);
  });

  test('text in any script stays as it is', () => {
    for (const text of ['plain', 'é ü ß', '日本語', 'עברית', 'emoji 😀 ❤️']) {
      expect(hasUnprintable(text)).toBe(false);
      expect(escapeUnprintable(text)).toBe(text);
    }
  });
});
