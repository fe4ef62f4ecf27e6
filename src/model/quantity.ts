/**
 * Quantities as Kubernetes writes them (whole numbers with a suffix; millicores) and durations as Go does.
 * Every parser returns `undefined` for what it does not understand: the caller knows the place to name.
 */

const BYTES = /^([0-9]{1,16})(Ki|Mi|Gi|Ti|k|M|G|T)?$/;
const UNITS = {
  ...{ Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 },
  ...{ k: 1000, M: 1000 ** 2, G: 1000 ** 3, T: 1000 ** 4 },
} as const;

/** Bytes of a quantity such as `64Mi` or, in powers of a thousand, `64M`; a whole number without a suffix is bytes. */
export function parseBytes(value: unknown): number | undefined {
  const match = BYTES.exec(
    typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '',
  );
  if (!match?.[1]) return undefined;
  const bytes = Number(match[1]) * (match[2] ? UNITS[match[2] as keyof typeof UNITS] : 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact quantity: `64Mi`, `1Gi`, `1500`. */
export function formatBytes(bytes: number): string {
  for (const unit of ['Ti', 'Gi', 'Mi', 'Ki'] as const) {
    if (bytes !== 0 && bytes % UNITS[unit] === 0) return `${bytes / UNITS[unit]}${unit}`;
  }
  return String(bytes);
}

/** Thousandths of a CPU: `1` and `"1"` are 1000, `"500m"` is 500, `1.5` is 1500. */
export function parseCpu(value: unknown): number | undefined {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '';
  const milli = /^([0-9]{1,7})m$/.exec(text);
  if (milli) return Number(milli[1]);
  if (!/^[0-9]{1,4}(?:\.[0-9]{1,3})?$/.test(text)) return undefined;
  return Math.round(Number(text) * 1000);
}

/** `1`, `1.5` or `500m`. */
export function formatCpu(milliCpu: number): string {
  return milliCpu % 100 === 0 ? String(milliCpu / 1000) : `${milliCpu}m`;
}

const DURATION =
  /^(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})(?:\.([0-9]{1,3}))?s)?(?:([0-9]{1,9})ms)?$/;

/** Milliseconds of a Go duration such as `500ms`, `10s`, `2m`, `1m30s`. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const match = DURATION.exec(value);
  if (!match) return undefined;
  const [hours, minutes, seconds, fraction, milliseconds] = match.slice(1).map((part) => part ?? '0');
  const ms =
    Number(hours) * 3_600_000 +
    Number(minutes) * 60_000 +
    Number(seconds) * 1000 +
    Number(fraction?.padEnd(3, '0')) +
    Number(milliseconds);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** `500ms`, `30s`, `2m`, `1m30s`, `1h`, `1.5s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const parts = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor((ms % 3_600_000) / 60_000), 'm'],
    [(ms % 60_000) / 1000, 's'],
  ] as const;
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join('');
}
