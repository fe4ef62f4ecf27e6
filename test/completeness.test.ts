import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ERROR_CODES } from '../src/errors.js';
import { CONTROLS, type Control } from '../src/model/run-plan.js';
import { CASES, type CaseId } from './attack/catalogue.js';
import { TAMPERINGS } from './attack/tamperings.js';

const tests = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && !file.endsWith('completeness.test.ts'))
  .concat('attack/tamperings.ts')
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

  /** Where each control is met: a case of test/attack, or the words of another test. The type fails for one left out. */
  const TRIED: Record<Control, CaseId | readonly [file: string, test: string]> = {
    'non-root-user': 'K01',
    'no-capabilities': 'K02',
    'no-new-privileges': 'K03',
    seccomp: 'K04',
    'read-only-rootfs': 'F01',
    'no-network': 'N01',
    'isolated-network': 'N14',
    gateway: 'N11',
    'memory-limit': 'R03',
    'no-swap': 'R06',
    'cpu-limit': 'R01',
    'pids-limit': 'R02',
    'open-files-limit': 'R07',
    'no-core-dumps': 'F08',
    'tmp-limit': 'F03',
    'out-limit': ['secrets-and-out', 'is limited in bytes and files'],
    'private-namespaces': 'K17',
    init: 'R12',
    'no-devices': 'K12',
    'no-volumes': 'F07',
    'no-healthcheck': ['chain', 'HEALTHCHECK CMD'],
    'time-limit': 'R13',
    'output-limit': 'O01',
    'secrets-frame': 'O13',
    reaper: ['run-recovery', 'the reaper has a session of its own'],
  };

  test.each(Object.entries(TRIED))('the control %s is tried', (control, where) => {
    expect(CONTROLS).toContain(control);
    if (typeof where === 'string') {
      expect(CASES).toHaveProperty(where);
    } else {
      const [file, words] = where;
      expect(readFileSync(`test/integration/${file}.test.ts`, 'utf8')).toContain(words);
    }
  });
});

test('every case of the catalogue of attacks is tried, once', () => {
  const used = readdirSync('test/attack')
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => [
      ...readFileSync(join('test/attack', file), 'utf8').matchAll(/^[a-zA-Z]+\(\s*'([A-Z]\d\d)'/gm),
    ])
    .map((match) => match[1]);
  expect(used.sort()).toEqual(Object.keys(CASES).sort());
});

describe('the tampering walk', () => {
  test('has at least twelve steps, along every link, each refused under a code of its own', () => {
    const steps = Object.values(TAMPERINGS);
    expect(steps.length).toBeGreaterThanOrEqual(12);
    expect(new Set(steps.map(({ code }) => code)).size).toBe(steps.length);
    const links = ['base', 'signature', 'dependencies', 'seal', 'registry', 'run', 'receipt', 'replay'];
    expect([...new Set(steps.map(({ link }) => link))]).toEqual(links);
  });

  test('is walked whole, each step once', () => {
    const text = readFileSync('test/attack/tampering.test.ts', 'utf8');
    const walked = [...text.matchAll(/^walk\(\s*'([a-z-]+)'/gm)].map(([, id]) => id);
    expect(walked.sort()).toEqual(Object.keys(TAMPERINGS).sort());
  });
});

test('schemas and reference pages are what the definitions say', () => {
  execFileSync(process.execPath, ['scripts/generate.mjs', '--check'], { stdio: 'pipe' });
});

test('the seccomp profile is what its derivation says', () => {
  execFileSync(process.execPath, ['scripts/seccomp.mjs', '--check'], { stdio: 'pipe' });
});
