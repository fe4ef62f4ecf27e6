import { describe, expect, test } from '@jest/globals';
import { exitCodeOf, exitCodeOfRun, exitCodeOfSignal } from '../../../src/cli/exit-codes.js';
import { SjsError, type ErrorCode } from '../../../src/index.js';

const statusOf = (code: ErrorCode, verb: string | null): number => exitCodeOf(new SjsError(code, 'x'), verb);

describe('exit status of an error', () => {
  test.each([
    ['USAGE', 125],
    ['SANDBOX_INVALID', 125],
    ['ENGINE_FAILED', 125],
    ['ENGINE_UNREACHABLE', 125],
    ['INTERNAL', 125],
    ['POLICY_VIOLATION', 126],
    ['BASE_UNVERIFIED', 126],
    ['SEAL_MISMATCH', 126],
    ['RIGHTS_WIDENED', 126],
    ['TARGET_NOT_FOUND', 127],
    ['TARGET_AMBIGUOUS', 127],
    ['RUN_NOT_FOUND', 127],
  ] as const)('%s of run and replay is %i', (code, status) => {
    expect(statusOf(code, 'run')).toBe(status);
    expect(statusOf(code, 'replay')).toBe(status);
  });

  test.each([
    ['ENGINE_FAILED', 1],
    ['INTERNAL', 1],
    ['BASE_NOT_FOUND', 1],
    ['RUN_UNFINISHED', 1],
    ['USAGE', 2],
    ['SANDBOX_INVALID', 2],
    ['NOT_YET', 2],
    ['BASE_UNVERIFIED', 3],
    ['SEAL_MISMATCH', 3],
    ['SEAL_UNTRUSTED', 3],
    ['POLICY_VIOLATION', 4],
    ['BASE_UNTRUSTED', 4],
    ['ENGINE_UNREACHABLE', 5],
    ['REGISTRY_UNREACHABLE', 5],
    ['COSIGN_MISSING', 5],
  ] as const)('%s of other verbs is %i', (code, status) => {
    expect(statusOf(code, 'build')).toBe(status);
    expect(statusOf(code, null)).toBe(status);
  });
});

describe('exit status of a run', () => {
  const status = (
    state: Parameters<typeof exitCodeOfRun>[0]['state'],
    exitCode: number | null,
    signal: string | null = null,
    received: string | null = null,
  ): number => exitCodeOfRun({ state, exitCode, signal }, received);

  test("is the program's own when it ended by itself, whatever the number", () => {
    expect(status('succeeded', 0)).toBe(0);
    for (const code of [1, 3, 124, 125, 126, 127, 137, 255]) expect(status('failed', code)).toBe(code);
  });

  test('follows the state otherwise, whatever the number', () => {
    expect(status('timed-out', 0)).toBe(124);
    expect(status('out-of-memory', 0)).toBe(137);
    expect(status('output-limit', 0)).toBe(137);
    expect(status('killed', 0)).toBe(137);
    expect(status('refused', null)).toBe(126);
    expect(status('running', null)).toBe(125);
    expect(status('failed', null)).toBe(125);
  });

  test('is 128 and the signal', () => {
    expect(status('failed', null, 'SIGSEGV')).toBe(139);
    expect(status('interrupted', 0, null, 'SIGINT')).toBe(130);
    expect(status('interrupted', 0, null, 'SIGTERM')).toBe(143);
    expect(status('interrupted', 137, 'SIGKILL', 'SIGINT')).toBe(130);
    expect(exitCodeOfSignal('SIGHUP')).toBe(129);
  });
});
