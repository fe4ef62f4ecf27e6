const UNITS = [
  ['year', 365 * 24 * 3600],
  ['month', 30 * 24 * 3600],
  ['week', 7 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

/**
 * How long ago a time was, in its largest whole unit: `2 minutes ago`, `1 day ago`. Less than a second, and times ahead
 * of the clock, are `just now`.
 * @param time RFC 3339
 * @param nowMs milliseconds since the epoch
 */
export function formatRelativeTime(time: string, nowMs: number): string {
  const seconds = Math.floor((nowMs - Date.parse(time)) / 1000);
  const [name, length] = UNITS.find(([, size]) => seconds >= size) ?? [];
  if (name === undefined) return 'just now';
  const count = Math.floor(seconds / length);
  return `${count} ${name}${count === 1 ? '' : 's'} ago`;
}
