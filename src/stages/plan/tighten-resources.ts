import { SjsError } from '../../errors.js';
import { formatBytes, formatCpu, formatDuration } from '../../model/quantity.js';
import type { Resources } from '../../model/sandbox.js';
import { RESOURCE_RULES } from '../../model/bounds.js';

const SHOW: Record<keyof Resources, (value: number) => string> = {
  milliCpu: formatCpu,
  memoryBytes: formatBytes,
  pids: String,
  files: String,
  timeoutMs: formatDuration,
  outputBytes: formatBytes,
};

const NAMES: Record<keyof Resources, keyof typeof RESOURCE_RULES> = {
  milliCpu: 'cpu',
  memoryBytes: 'memory',
  pids: 'pids',
  files: 'files',
  timeoutMs: 'timeout',
  outputBytes: 'output',
};

const flagOf = (key: keyof Resources): string => (key === 'outputBytes' ? 'output-limit' : NAMES[key]);

/**
 * The limits of one run: the sealed ones, lowered where it asks for less (SPEC §2.1).
 * @throws SjsError `RIGHTS_WIDENED`, `USAGE` for less than any sandbox can have.
 */
export function tightenResources(sealed: Resources, asked: Partial<Resources>): Resources {
  const limits: Record<keyof Resources, number> = { ...sealed };
  for (const [key, value] of Object.entries(asked) as [keyof Resources, number][]) {
    // To an engine 0 and less mean no limit at all.
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new SjsError('RIGHTS_WIDENED', `--${flagOf(key)} ${value} is no limit`, {
        next: 'ask for a whole number above 0',
      });
    }
    const least = RESOURCE_RULES[NAMES[key]].minimum;
    if (value < least) {
      throw new SjsError(
        'USAGE',
        `--${flagOf(key)} ${SHOW[key](value)} is less than the least, ${SHOW[key](least)}`,
        {
          next: `ask for at least ${SHOW[key](least)}`,
        },
      );
    }
    if (value > sealed[key]) {
      throw new SjsError(
        'RIGHTS_WIDENED',
        `--${flagOf(key)} ${SHOW[key](value)} is more than the sealed ${SHOW[key](sealed[key])}`,
        {
          next: `ask for at most ${SHOW[key](sealed[key])}, or raise spec.resources.${NAMES[key]} in sandbox.yaml and build again`,
        },
      );
    }
    limits[key] = value;
  }
  return limits;
}
