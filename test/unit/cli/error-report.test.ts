import { describe, expect, test } from '@jest/globals';
import pc from 'picocolors';
import { describeCause, errorDocument, formatError, toSjsError } from '../../../src/cli/error-report.js';
import { SjsError } from '../../../src/index.js';

const view = { colors: pc.createColors(false), verbose: false, directory: '/home/u/place' };

describe('an error for people', () => {
  test('is message, cause and next step', () => {
    const error = new SjsError(
      'BASE_UNVERIFIED',
      'r.example.com/base@sha256:871d has no signature by base.pub',
      {
        cause: 'cosign: no matching signatures',
        next: 'sign it',
      },
    );
    expect(formatError(error, view)).toBe(
      [
        'error[BASE_UNVERIFIED]: r.example.com/base@sha256:871d has no signature by base.pub',
        '  cause: cosign: no matching signatures',
        '  next:  sign it',
      ].join('\n'),
    );
  });

  test('names every problem with its place, path and excerpt', () => {
    const error = new SjsError('SANDBOX_INVALID', 'sandbox.yaml has 2 problems', {
      problems: [
        {
          message: '"64Mib" is not a quantity',
          location: {
            file: '/home/u/place/job/sandbox.yaml',
            line: 12,
            column: 5,
            path: 'spec.resources.memory',
          },
          snippet: '12 |   memory: 64Mib\n   |           ^',
          next: 'write 64Mi',
        },
        { message: 'metadata is missing', location: { file: '/elsewhere/sandbox.yaml', line: 1 } },
      ],
    });
    expect(formatError(error, view)).toBe(
      [
        'error[SANDBOX_INVALID]: sandbox.yaml has 2 problems',
        '  job/sandbox.yaml:12:5 spec.resources.memory: "64Mib" is not a quantity',
        '      12 |   memory: 64Mib',
        '         |           ^',
        '      write 64Mi',
        '  /elsewhere/sandbox.yaml:1: metadata is missing',
      ].join('\n'),
    );
  });

  test('says each thing once: the path is in the place, and a hint stands where it belongs', () => {
    const location = { file: '/home/u/place/s.yaml', line: 2, column: 3, path: 'spec.runtime' };
    const one = { message: 'spec.runtime: "x" is wrong', location, next: 'use the default' };
    const two = { message: 'no name', next: 'give a name' };
    const report = (problems: readonly (typeof one | typeof two)[]): string =>
      formatError(new SjsError('SANDBOX_INVALID', 'wrong', { problems, next: 'use the default' }), view);
    expect(report([one])).toBe(
      [
        'error[SANDBOX_INVALID]: wrong',
        '  s.yaml:2:3 spec.runtime: "x" is wrong',
        '  next:  use the default',
      ].join('\n'),
    );
    expect(report([one, two])).toBe(
      [
        'error[SANDBOX_INVALID]: wrong',
        '  s.yaml:2:3 spec.runtime: "x" is wrong',
        '      use the default',
        '  no name',
        '      give a name',
      ].join('\n'),
    );
  });

  test('has no control character of foreign words, and none of their lines begins one of ours', () => {
    const error = new SjsError('BUILD_FAILED', 'the build failed \x1b]52;c;x\x07', {
      cause: new Error('first\x1b[2J\n::add-path::/evil\n\u202etxt'),
    });
    const text = formatError(error, view);
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
    expect(text.split('\n').slice(1)).toEqual([
      '  cause: first\\x1b[2J',
      '       | ::add-path::/evil',
      '       | \\u202etxt',
    ]);
  });

  test('cuts a long cause, unless all is wanted', () => {
    const cause = Array.from({ length: 40 }, (_, index) => `line ${index}`).join('\n');
    const error = new SjsError('BUILD_FAILED', 'the build failed', { cause });
    expect(formatError(error, view).split('\n')).toHaveLength(14);
    expect(formatError(error, view)).toContain('28 lines before this');
    expect(formatError(error, view)).toContain('line 39');
    expect(formatError(error, { ...view, verbose: true })).toContain('line 0\n');
  });

  test('has a stack only when asked for', () => {
    const error = toSjsError(new Error('broken'));
    expect(error.code).toBe('INTERNAL');
    expect(formatError(error, view)).not.toMatch(/^\s+at /m);
    expect(formatError(error, { ...view, verbose: true })).toMatch(/^\s+at /m);
  });
});

describe('the cause', () => {
  test('is every error underneath, each said once', () => {
    const inner = new Error('connect ECONNREFUSED 127.0.0.1:1');
    const middle = new Error('fetch failed', { cause: inner });
    expect(describeCause(new SjsError('REGISTRY_UNREACHABLE', 'x', { cause: middle }))).toBe(
      'fetch failed\nconnect ECONNREFUSED 127.0.0.1:1',
    );
  });

  test('is found in an error that has none of its own words', () => {
    const cause = new AggregateError([new Error('connect a'), new Error('connect b')], '');
    expect(describeCause(new SjsError('ENGINE_UNREACHABLE', 'x', { cause }))).toBe('connect a; connect b');
    expect(describeCause(new SjsError('ENGINE_UNREACHABLE', 'x'))).toBeUndefined();
  });
});

test('the document has every field, null where there is nothing', () => {
  expect(errorDocument(new SjsError('USAGE', 'no'))).toEqual({
    error: { code: 'USAGE', message: 'no', cause: null, next: null, location: null, problems: [] },
  });
});
