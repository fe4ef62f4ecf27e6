/** Whether a value is a time as sjs writes them: RFC 3339 in UTC, to the millisecond. */
export function isTimestamp(value: unknown): value is string {
  // Date.parse alone takes words in brackets, and with them whatever somebody wants a terminal to do.
  if (typeof value !== 'string' || value.length !== '2026-01-31T12:00:00.000Z'.length) return false;
  const time = Date.parse(value);
  return !Number.isNaN(time) && new Date(time).toISOString() === value;
}
