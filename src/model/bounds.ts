import type { QuantityRule } from './schema-check.js';

const KI = 1024;
const MI = 1024 ** 2;
const GI = 1024 ** 3;

/** Bounds of every resource; a policy may lower the upper ones. Docker refuses less than 6 MiB of memory. */
export const RESOURCE_RULES = {
  cpu: { kind: 'cpu', minimum: 10, maximum: 1_024_000 },
  memory: { kind: 'bytes', minimum: 6 * MI, maximum: 1024 * GI },
  pids: { kind: 'count', minimum: 1, maximum: 1_000_000 },
  files: { kind: 'count', minimum: 16, maximum: 1_048_576 },
  timeout: { kind: 'duration', minimum: 1, maximum: 24 * 3_600_000 },
  output: { kind: 'bytes', minimum: 1, maximum: GI },
} as const satisfies Record<string, QuantityRule>;

/** Bounds of what can be written. */
export const FILESYSTEM_RULES = {
  tmp: { kind: 'bytes', minimum: 4 * KI, maximum: 64 * GI },
  out: { kind: 'bytes', minimum: 4 * KI, maximum: 64 * GI },
} as const satisfies Record<string, QuantityRule>;
