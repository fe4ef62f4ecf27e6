import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ERROR_CODES } from '../src/errors.js';
import { CONTROLS, type Control } from '../src/model/run-plan.js';
import { CASES } from './attack/catalogue.js';

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

  /** Where each control is tried from the inside. The type fails for one that is left out. */
  const TRIED: Record<Control, readonly [file: string, test: string]> = {
    'non-root-user': ['sandbox-controls', 'user, groups, capabilities'],
    'no-capabilities': ['sandbox-controls', 'user, groups, capabilities'],
    'no-new-privileges': ['sandbox-controls', 'user, groups, capabilities'],
    seccomp: ['sandbox-controls', 'user, groups, capabilities'],
    'read-only-rootfs': ['sandbox-controls', 'the root is read-only'],
    'no-network': ['sandbox-controls', 'no network and nothing of the host’s resolver'],
    'memory-limit': ['docker-engine', 'memory: the kernel ends it'],
    'no-swap': ['sandbox-controls', 'every setting of ATTACKS (c)'],
    'cpu-limit': ['sandbox-controls', 'cpu is held to its share'],
    'pids-limit': ['sandbox-controls', 'processes end at the limit'],
    'open-files-limit': ['sandbox-controls', 'open files end at the limit'],
    'no-core-dumps': ['sandbox-controls', 'with the hard limits that were asked for'],
    'tmp-limit': ['sandbox-controls', '/tmp runs nothing, and ends at its size'],
    'out-limit': ['secrets-and-out', 'is limited in bytes and files'],
    'private-namespaces': ['sandbox-controls', 'namespaces: only its own processes'],
    init: ['sandbox-controls', 'an orphan is reaped by init'],
    'no-devices': ['sandbox-controls', 'devices: the harmless ones'],
    'no-volumes': ['chain', 'VOLUME /data'],
    'no-healthcheck': ['chain', 'HEALTHCHECK CMD'],
    'time-limit': ['run-recovery', 'dead five seconds after its limit'],
    'output-limit': ['docker-engine', 'output of exactly the limit is not cut'],
    'secrets-frame': ['secrets-and-out', 'stand in no inspect'],
    reaper: ['run-recovery', 'the reaper has a session of its own'],
  };

  test.each(Object.entries(TRIED))('the control %s is tried', (control, [file, words]) => {
    expect(CONTROLS).toContain(control);
    expect(readFileSync(`test/integration/${file}.test.ts`, 'utf8')).toContain(words);
  });
});

test('every case of the catalogue of attacks is tried, once', () => {
  const used = readdirSync('test/attack')
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => [...readFileSync(join('test/attack', file), 'utf8').matchAll(/\(\s*'([A-Z]\d\d)'/g)])
    .map((match) => match[1]);
  expect(used.sort()).toEqual(Object.keys(CASES).sort());
});

test('schemas and reference pages are what the definitions say', () => {
  execFileSync(process.execPath, ['scripts/generate.mjs', '--check'], { stdio: 'pipe' });
});

test('the seccomp profile is what its derivation says', () => {
  execFileSync(process.execPath, ['scripts/seccomp.mjs', '--check'], { stdio: 'pipe' });
});
