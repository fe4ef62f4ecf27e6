import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ERROR_CODES } from '../src/errors.js';
import { CONTROLS } from '../src/model/run-plan.js';

const tests = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && !file.endsWith('completeness.test.ts'))
  .map((file) => readFileSync(join('test', file), 'utf8'))
  .join('\n');

describe('nothing is left without a test', () => {
  test('every error code is met by a test', () => {
    expect(Object.keys(ERROR_CODES).filter((code) => !new RegExp(`\\b${code}\\b`).test(tests))).toEqual([]);
  });

  test('every error code is thrown somewhere', () => {
    const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && file !== 'errors.ts')
      .map((file) => readFileSync(join('src', file), 'utf8'))
      .join('\n');
    expect(Object.keys(ERROR_CODES).filter((code) => !new RegExp(`'${code}'`).test(source))).toEqual([]);
  });

  test('every control is met by a test', () => {
    expect(CONTROLS.filter((control) => !tests.includes(control))).toEqual([]);
  });
});

test('schemas and reference pages are what the definitions say', () => {
  execFileSync(process.execPath, ['scripts/generate.mjs', '--check'], { stdio: 'pipe' });
});

test('the seccomp profile is what its derivation says', () => {
  execFileSync(process.execPath, ['scripts/seccomp.mjs', '--check'], { stdio: 'pipe' });
});
