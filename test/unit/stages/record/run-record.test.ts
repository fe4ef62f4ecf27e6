import { describe, expect, test } from '@jest/globals';
import { SjsError, type ErrorCode } from '../../../../src/errors.js';
import { sha256 } from '../../../../src/model/digest.js';
import type { RunState } from '../../../../src/model/record.js';
import type { RunOutcome } from '../../../../src/ports/engine.js';
import {
  failRecord,
  finishRecord,
  startRecord,
  type RunStart,
} from '../../../../src/stages/record/run-record.js';
import { makeEntry, makeId, makeOpenRecord, makeRecord } from '../../../support/records.js';

const outcome = (overrides: Partial<RunOutcome>): RunOutcome => ({
  end: 'exited',
  exitCode: 0,
  oomKilled: false,
  startedAt: '2026-01-02T03:04:05.100Z',
  finishedAt: '2026-01-02T03:04:06.100Z',
  durationMs: 999.6,
  truncated: { stdout: false, stderr: false },
  usage: null,
  ...overrides,
});
const nothing = { stdin: null, stdout: null, stderr: null, artifacts: [], skippedArtifacts: [] };

test('a record starts with what was decided, and nothing of what will happen', () => {
  const { engine, limits, owner } = makeRecord();
  const entry = makeEntry('job');
  // Only what startRecord reads: sealed images and plans can be made by their stages alone.
  const start = {
    id: makeId(1),
    owner,
    sealed: { entry, labels: { plan: { seccompDigest: sha256('seccomp') } } },
    plan: { args: ['one'], resources: limits, network: { mode: 'none' }, env: { SEALED: '1' } },
    env: { TZ: 'UTC' },
    secrets: { TOKEN: 'f'.repeat(64) },
    engine: { ...engine, missingControls: [] },
    waivers: [],
    policyDigest: sha256('policy'),
    sjsVersion: '0.1.0',
    createdAt: Date.parse('2026-01-02T03:04:05.000Z'),
    replayOf: makeId(7),
    member: null,
  } as unknown as RunStart;
  expect(startRecord(start)).toEqual(
    makeOpenRecord({
      tag: entry.tag,
      seal: entry.seal,
      secrets: { TOKEN: 'f'.repeat(64) },
      replayOf: makeId(7),
    }),
  );
});

describe('the end decides the state', () => {
  const table: [Partial<RunOutcome>, RunState, string | null][] = [
    [{ exitCode: 0 }, 'succeeded', null],
    [{ exitCode: 1 }, 'failed', null],
    [{ exitCode: 137 }, 'failed', null],
    [{ exitCode: 139 }, 'failed', null],
    [{ exitCode: 137, oomKilled: true }, 'out-of-memory', 'SIGKILL'],
    [{ exitCode: 1, oomKilled: true }, 'failed', null],
    [{ exitCode: 0, oomKilled: true }, 'succeeded', null],
    [{ end: 'timed-out', exitCode: 137 }, 'timed-out', 'SIGKILL'],
    [{ end: 'timed-out', exitCode: 0 }, 'timed-out', null],
    [{ end: 'timed-out', exitCode: null }, 'timed-out', 'SIGKILL'],
    [{ end: 'timed-out', exitCode: 137, oomKilled: true }, 'timed-out', 'SIGKILL'],
    [{ end: 'output-limit', exitCode: 137 }, 'output-limit', 'SIGKILL'],
    [{ end: 'killed', exitCode: 137 }, 'killed', 'SIGKILL'],
    [{ end: 'interrupted', exitCode: 0, interruptedBy: 'SIGTERM' }, 'interrupted', 'SIGTERM'],
    [{ end: 'interrupted', exitCode: 130 }, 'interrupted', null],
  ];
  test.each(table)('%j is %s, signal %s', (given, state, signal) => {
    const record = finishRecord(makeOpenRecord(), outcome(given), nothing);
    expect(record).toMatchObject({ state, signal, exitCode: given.exitCode });
  });
});

test('a finished record has the times, the contents and the sorted artifacts', () => {
  const stream = { digest: sha256('x'), bytes: 1, truncated: true };
  const file = (path: string) => ({ path, digest: sha256(path), bytes: 1 });
  const contents = {
    stdin: null,
    stdout: stream,
    stderr: stream,
    artifacts: [file('b'), file('a')],
    skippedArtifacts: [{ path: 'l', reason: 'a link' }],
  };
  const before = makeOpenRecord();
  expect(finishRecord(before, outcome({ usage: { cpuMs: 1, peakMemoryBytes: 2 } }), contents)).toEqual({
    ...before,
    ...contents,
    artifacts: [file('a'), file('b')],
    state: 'succeeded',
    exitCode: 0,
    oomKilled: false,
    startedAt: '2026-01-02T03:04:05.100Z',
    finishedAt: '2026-01-02T03:04:06.100Z',
    durationMs: 1000,
    usage: { cpuMs: 1, peakMemoryBytes: 2 },
  });
});

test('no duration is negative', () => {
  expect(finishRecord(makeOpenRecord(), outcome({ durationMs: -5 }), nothing).durationMs).toBe(0);
});

describe('an error decides the state', () => {
  const table: [ErrorCode, RunState][] = [
    ['ENGINE_FAILED', 'failed'],
    ['CONTAINER_LOST', 'failed'],
    ['DISK_FULL', 'failed'],
    ['ABORTED', 'interrupted'],
    ['CONTROL_MISSING', 'refused'],
    ['POLICY_VIOLATION', 'refused'],
    ['SEAL_MISMATCH', 'refused'],
    ['BASE_UNVERIFIED', 'refused'],
  ];
  test.each(table)('%s is %s', (code, state) => {
    const record = failRecord(makeOpenRecord(), new SjsError(code, 'why\u001b[2J'), 0);
    expect(record).toEqual(
      makeOpenRecord({
        state,
        finishedAt: '1970-01-01T00:00:00.000Z',
        error: { code, message: 'why\\x1b[2J' },
      }),
    );
  });

  test('anything else is INTERNAL', () => {
    expect(failRecord(makeOpenRecord(), new Error('x'), 0)).toMatchObject({
      state: 'failed',
      error: { code: 'INTERNAL', message: 'x' },
    });
    expect(failRecord(makeOpenRecord(), 'thrown text', 0).error?.message).toBe('thrown text');
  });
});

describe('a call', () => {
  const answerOf = (kind: 'value' | 'undefined' | 'error') => ({ kind, digest: sha256(kind), bytes: 1 });
  const table: [
    string,
    ReturnType<typeof answerOf> | null,
    Partial<RunOutcome>,
    RunState,
    number | null,
    boolean,
  ][] = [
    ['answered', answerOf('value'), { end: 'answered', exitCode: 137 }, 'succeeded', 0, true],
    ['answered with nothing', answerOf('undefined'), { end: 'answered' }, 'succeeded', 0, true],
    ['threw', answerOf('error'), { end: 'answered', exitCode: 1 }, 'failed', 1, true],
    ['was not confirmed, and exited so', answerOf('value'), {}, 'succeeded', 0, true],
    ['was not confirmed, and exited otherwise', answerOf('value'), { exitCode: 3 }, 'failed', 3, false],
    [
      'was not confirmed, and ran out of memory',
      answerOf('value'),
      { exitCode: 137, oomKilled: true },
      'out-of-memory',
      137,
      false,
    ],
    ['timed out', answerOf('value'), { end: 'timed-out', exitCode: 137 }, 'timed-out', 137, false],
    ['exited with 0 and no answer', null, {}, 'failed', 0, false],
  ];
  test.each(table)('that %s', (_, answer, given, state, exitCode, counts) => {
    const open = makeOpenRecord({ call: { export: 'f', answer: null } });
    const finished = finishRecord(open, outcome(given), { ...nothing, call: { export: 'f', answer } });
    expect(finished).toMatchObject({
      state,
      exitCode,
      call: { export: 'f', answer: counts ? answer : null },
    });
  });
});
