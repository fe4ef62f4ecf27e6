import { expect, test } from '@jest/globals';
import { exitStatusOf } from '../../../src/model/exit-status.js';
import { RUN_STATES, type RunState } from '../../../src/model/record.js';

const table: [RunState, number | null, string | null, number][] = [
  ['created', null, null, 125],
  ['running', null, null, 125],
  ['succeeded', 0, null, 0],
  ['failed', 1, null, 1],
  ['failed', 124, null, 124],
  ['failed', 137, null, 137],
  ['failed', 255, null, 255],
  ['failed', null, null, 125],
  ['timed-out', 137, 'SIGKILL', 124],
  ['timed-out', 0, 'SIGKILL', 124],
  ['out-of-memory', 137, 'SIGKILL', 137],
  ['output-limit', 0, 'SIGKILL', 137],
  ['killed', 137, 'SIGKILL', 137],
  ['interrupted', 0, 'SIGINT', 130],
  ['interrupted', 143, 'SIGTERM', 143],
  ['interrupted', 137, 'SIGHUP', 129],
  ['interrupted', null, null, 130],
  ['refused', null, null, 126],
];

test.each(table)('%s with exit code %s and signal %s is %i', (state, exitCode, signal, status) =>
  expect(exitStatusOf({ state, exitCode, signal })).toBe(status),
);

test('every state is in the table', () => {
  expect(new Set(table.map(([state]) => state))).toEqual(new Set(RUN_STATES));
});
