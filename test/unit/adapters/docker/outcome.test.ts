import { expect, test } from '@jest/globals';
import { isSigkill } from '../../../../src/adapters/docker/kill-events.js';
import {
  decideEnd,
  engineDuration,
  isUnexplainedKill,
  readState,
  toTime,
  type ContainerState,
} from '../../../../src/adapters/docker/outcome.js';
import { readSample } from '../../../../src/adapters/docker/usage.js';
import type { RunEnd } from '../../../../src/ports/engine.js';

const state = (ExitCode: number, OOMKilled = false): ContainerState => ({
  Status: 'exited',
  Running: false,
  OOMKilled,
  ExitCode,
  StartedAt: '2026-01-01T00:00:00.123456789Z',
  FinishedAt: '2026-01-01T00:00:01.623Z',
});

test.each<[string, ContainerState, RunEnd | null, boolean, boolean, RunEnd]>([
  ['by itself', state(0), null, false, false, 'exited'],
  ['by itself with 137', state(137), null, false, false, 'exited'],
  ['SIGKILL of others', state(137), null, false, true, 'killed'],
  ['out of memory is no kill', state(137, true), null, false, true, 'exited'],
  ['others killed a child only', state(1), null, false, true, 'exited'],
  ['at the deadline', state(137), 'timed-out', true, false, 'timed-out'],
  ['by itself in the moment of the deadline', state(0), 'timed-out', true, false, 'exited'],
  ['before the signal of the deadline came', state(137), 'timed-out', false, false, 'exited'],
  ['by others before the signal of the deadline came', state(137), 'timed-out', false, true, 'killed'],
  ['by others before the interrupt met it', state(137), 'interrupted', false, true, 'killed'],
  ['by too much output', state(0), 'output-limit', false, false, 'output-limit'],
  ['after an interrupt', state(5), 'interrupted', true, false, 'interrupted'],
  ['by itself before the interrupt met it', state(5), 'interrupted', false, false, 'exited'],
])('ended %s', (_name, seen, reason, didReach, byOthers, expected) => {
  expect(decideEnd(seen, { reason, didReach }, byOthers)).toBe(expected);
});

test('the event log is asked only about a SIGKILL that nothing explains', () => {
  const nobody = { reason: null, didReach: false };
  expect(isUnexplainedKill(state(137), nobody)).toBe(true);
  expect(isUnexplainedKill(state(137, true), nobody)).toBe(false);
  expect(isUnexplainedKill(state(137), { reason: 'timed-out', didReach: true })).toBe(false);
  expect(isUnexplainedKill(state(137), { reason: 'timed-out', didReach: false })).toBe(true);
  expect(isUnexplainedKill(state(137), { reason: 'output-limit', didReach: false })).toBe(false);
  expect(isUnexplainedKill(state(1), nobody)).toBe(false);
});

test('times: UTC with milliseconds, null for never, durations never negative', () => {
  expect(toTime('2026-01-01T01:00:00.123456789+01:00')).toBe('2026-01-01T00:00:00.123Z');
  expect(toTime('0001-01-01T00:00:00Z')).toBeNull();
  expect(toTime('')).toBeNull();
  expect(engineDuration(state(0))).toBe(1500);
  expect(engineDuration({ ...state(0), FinishedAt: '2025-01-01T00:00:00Z' })).toBe(0);
});

test('kill events', () => {
  const event = (Action: string, signal: string) =>
    JSON.stringify({ Action, Actor: { Attributes: { signal } } });
  expect(isSigkill(event('kill', '9'))).toBe(true);
  expect(isSigkill(event('kill', 'SIGKILL'))).toBe(true);
  expect(isSigkill(event('kill', '2'))).toBe(false);
  expect(isSigkill(event('die', '9'))).toBe(false);
  expect(isSigkill('')).toBe(false);
});

test('usage: the last sample that has figures, and the highest memory seen', () => {
  const sample = (total: number, usage: number, peak?: number) =>
    JSON.stringify({
      cpu_stats: { cpu_usage: { total_usage: total } },
      memory_stats: { usage, max_usage: peak },
    });
  expect(readSample(sample(1_600_000, 10, 30), null)).toEqual({ cpuMs: 2, peakMemoryBytes: 30 });
  expect(readSample(sample(1e9, 10), { cpuMs: 1, peakMemoryBytes: 40 })).toEqual({
    cpuMs: 1000,
    peakMemoryBytes: 40,
  });
  expect(readSample('{"cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}', null)).toBeNull();
  expect(readSample('{', null)).toBeNull();
});

test.each(['null', '{"cpu_stats":{"cpu_usage":{"total_usage":"7"}},"memory_stats":{"usage":1}}'])(
  'a sample with anything else than numbers is none: %s',
  (line) => expect(readSample(line, null)).toBeNull(),
);

test('a sample beyond any number, or below zero, is none: a record could not hold it', () => {
  for (const usage of ['1e999', '-1', '"1"', '[1]'])
    expect(
      readSample(`{"cpu_stats":{"cpu_usage":{"total_usage":${usage}}},"memory_stats":{"usage":1}}`, null),
    ).toBeNull();
});

test('a state that is not whole is no state: nothing about an end is guessed', () => {
  const State = {
    Status: 'exited',
    Running: false,
    OOMKilled: false,
    ExitCode: 3,
    StartedAt: '2026-01-01T00:00:00Z',
    FinishedAt: '2026-01-01T00:00:01Z',
  };
  expect(readState({ State })).toEqual(State);
  const broken = [{ ExitCode: -1 }, { ExitCode: 'x' }, { Running: undefined }, { StartedAt: 7 }];
  for (const answer of [
    null,
    {},
    { State: [] },
    ...broken.map((change) => ({ State: { ...State, ...change } })),
  ])
    expect(() => readState(answer)).toThrow(expect.objectContaining({ code: 'ENGINE_FAILED' }));
});
