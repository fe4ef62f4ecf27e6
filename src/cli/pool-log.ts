import { appendFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { cleanLine } from './terminal.js';

/** Of this and what was written before it as much again is kept. */
const MOST_BYTES = 64 * 1024;

/** What a pool has to say while nobody looks: lines with their time in a file of bounded size. */
export interface PoolLog {
  readonly write: (line: string) => void;
  readonly remove: () => void;
}

/** A file that cannot be written is no reason for a pool to end. */
export function createPoolLog(file: string, now: () => number): PoolLog {
  const quietly = (act: () => void): void => {
    try {
      act();
    } catch {
      // As above.
    }
  };
  const older = `${file}.1`;
  return {
    write: (line) =>
      quietly(() => {
        const { size } = statSync(file, { throwIfNoEntry: false }) ?? { size: 0 };
        if (size > MOST_BYTES) renameSync(file, older);
        const text = `${new Date(now()).toISOString()} ${cleanLine(line)}\n`;
        appendFileSync(file, text.slice(0, MOST_BYTES), { mode: 0o600 });
      }),
    remove: () => quietly(() => [file, older].forEach((one) => rmSync(one, { force: true }))),
  };
}
