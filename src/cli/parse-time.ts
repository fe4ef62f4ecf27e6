import { parseDuration, SjsError } from '../index.js';

/**
 * A moment as docker takes it: how long ago (`10m`, `1h30m`, `7d`), a time in RFC 3339, whole or a date alone, or the
 * seconds of `date +%s`.
 * @returns milliseconds since the epoch
 * @throws SjsError `USAGE`
 */
export function parseTime(option: string, text: string, nowMs: number): number {
  const days = /^([0-9]{1,5})d$/.exec(text)?.[1];
  const ago = days === undefined ? parseDuration(text) : Number(days) * 24 * 3_600_000;
  if (ago !== undefined) return nowMs - ago;
  if (/^[0-9]{9,10}(?:\.[0-9]{1,9})?$/.test(text)) return Number(text) * 1000;
  const time = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?$/.test(text) ? Date.parse(text) : NaN;
  // There is no 30 February, which Date takes for one of March.
  const date = text.slice(0, 10);
  const isDay = !Number.isNaN(time) && new Date(`${date}T00:00:00Z`).toISOString().startsWith(date);
  if (isDay) return time;
  throw new SjsError('USAGE', `--${option} ${JSON.stringify(text)} is not a time`, {
    next: 'write how long ago, as 10m, 2h or 7d, or a time as 2026-01-31T12:00:00Z',
  });
}
