import { expect, test } from '@jest/globals';
import { noteOutputTimes } from '../../../src/flows/note-output-times.js';
import { readOutput } from '../../../src/flows/follow-run.js';
import { judgeRequests } from '../../../src/flows/recover-runs.js';
import type { RunOutcome } from '../../../src/ports/engine.js';
import { createMemoryRecordStore } from '../../support/memory-record-store.js';
import { makeRecord } from '../../support/records.js';

test('times are noted every ten milliseconds, and more rarely when there are many', () => {
  let now = 0;
  const stdout = { bytes: 0 };
  const lines: string[] = [];
  const writer = {
    write: (line: Uint8Array) => Promise.resolve(void lines.push(Buffer.from(line).toString())),
  };
  const times = noteOutputTimes(writer, { now: () => now }, stdout, { bytes: 5 });
  for (now = 1000; now < 1025; now += 1) {
    times.note();
    stdout.bytes += 1;
  }
  expect(times.since(1000)).toEqual({
    everyMs: 10,
    marks: [
      [0, 0, 5],
      [10, 10, 5],
      [20, 20, 5],
    ],
  });
  expect(lines).toEqual(['1000 0 5 10\n', '1010 10 5 10\n', '1020 20 5 10\n']);
  for (; now < 60_000; now += 10) times.note();
  const { everyMs, marks } = times.since(1000);
  expect(marks.length).toBeLessThan(1000);
  expect(everyMs).toBeGreaterThan(10);
  const gaps = marks.slice(1).map(([ms], at) => ms - (marks[at]?.[0] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(everyMs);
});

test('of a run whose times nobody noted, nothing is shown since a time', async () => {
  const store = createMemoryRecordStore();
  const record = makeRecord();
  await store.saveRecord(record);
  const tools = { store } as unknown as Parameters<typeof readOutput>[2];
  const reading = readOutput(
    record.id,
    { sinceMs: Date.parse(record.createdAt) + 1 },
    {
      ...tools,
      clock: { now: () => 0, monotonic: () => 0 },
    },
  );
  await expect(reading.next()).rejects.toMatchObject({ code: 'OUTPUT_TIMES_MISSING' });
});

test('what a run without its sjs ended of is what was asked for it, unless it ended of a limit', () => {
  const outcome = (end: RunOutcome['end']): RunOutcome => ({ end, exitCode: 143 }) as RunOutcome;
  const judge = (end: RunOutcome['end'], ...signals: NodeJS.Signals[]) =>
    judgeRequests(
      outcome(end),
      signals.map((signal) => ({ signal })),
    );
  expect(judge('exited', 'SIGTERM')).toMatchObject({ end: 'interrupted', interruptedBy: 'SIGTERM' });
  expect(judge('killed', 'SIGTERM')).toMatchObject({ end: 'interrupted' });
  expect(judge('exited', 'SIGKILL')).toMatchObject({ end: 'killed' });
  expect(judge('exited', 'SIGUSR1')).toMatchObject({ end: 'exited' });
  expect(judge('exited')).toMatchObject({ end: 'exited' });
  expect(judge('timed-out', 'SIGKILL')).toMatchObject({ end: 'timed-out' });
});
