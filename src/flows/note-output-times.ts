import type { OutputTimes } from '../model/record.js';
import type { Clock } from '../ports/clock.js';
import type { BlobWriter } from '../ports/record-store.js';

/** Marks closer to each other than this say no more. */
const EVERY_MS = 10;
/** What a record holds: a run of hours that prints all the time has fewer marks a second. */
const MOST_MARKS = 1000;

/** Notes when the output of a run came. */
export interface OutputClock {
  /** To be called before each piece is written. */
  note(): void;
  /** What was noted, in milliseconds since a time. */
  since(beginMs: number): OutputTimes;
}

/**
 * @param writer gets each mark as a line, `<ms since the epoch> <bytes of stdout> <bytes of stderr> <ms it holds for>`, for
 * those who read while the run goes on. That it cannot be written is nobody's loss: the output itself says so.
 */
export function noteOutputTimes(
  writer: Pick<BlobWriter, 'write'>,
  clock: Pick<Clock, 'now'>,
  stdout: Pick<BlobWriter, 'bytes'>,
  stderr: Pick<BlobWriter, 'bytes'>,
): OutputClock {
  let everyMs = EVERY_MS;
  let marks: [ms: number, stdout: number, stderr: number][] = [];
  let last = -Infinity;
  return {
    note() {
      const now = clock.now();
      // A clock that was set back notes as well.
      if (now >= last && now < last + everyMs) return;
      last = now;
      marks.push([now, stdout.bytes, stderr.bytes]);
      writer.write(Buffer.from(`${now} ${stdout.bytes} ${stderr.bytes} ${everyMs}\n`)).catch(() => undefined);
      if (marks.length < MOST_MARKS) return;
      everyMs *= 2;
      marks = thin(marks, everyMs);
    },
    since: (beginMs) => ({
      everyMs,
      marks: marks.map(([ms, out, err]) => [Math.max(0, ms - beginMs), out, err]),
    }),
  };
}

/** Without the marks that come less than `everyMs` after the one before. */
function thin<Mark extends readonly [ms: number, ...unknown[]]>(
  marks: readonly Mark[],
  everyMs: number,
): Mark[] {
  const kept: Mark[] = [];
  for (const mark of marks) {
    const before = kept.at(-1);
    if (before === undefined || mark[0] < before[0] || mark[0] >= before[0] + everyMs) kept.push(mark);
  }
  return kept;
}
