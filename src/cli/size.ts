const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size to glance at: `1.4 MiB`. */
export function formatSize(bytes: number): string {
  let [amount, unit] = [bytes, 0];
  while (amount >= 1024 && unit < UNITS.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}
