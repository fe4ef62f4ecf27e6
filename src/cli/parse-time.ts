import { parseDuration, SjsError } from '../index.js';

/**
 * A moment as docker takes it: how long ago (`10m`, `1h30m`, `7d`), or a time in RFC 3339, whole or a date alone.
 * @returns milliseconds since the epoch
 * @throws SjsError `USAGE`
 */
export function parseTime(option: string, text: string, nowMs: number): number {
  const days = /^([0-9]{1,5})d$/.exec(text)?.[1];
  const ago = days === undefined ? parseDuration(text) : Number(days) * 24 * 3_600_000;
  if (ago !== undefined) return nowMs - ago;
  const time = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?$/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(time)) return time;
  throw new SjsError('USAGE', `--${option} ${JSON.stringify(text)} is not a time`, {
    next: 'write how long ago, as 10m, 2h or 7d, or a time as 2026-01-31T12:00:00Z',
  });
}
