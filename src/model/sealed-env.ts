import { RUNTIME_ENV } from './language.js';
import { isReservedEnv } from './sandbox.js';

/** What sjs sets for a runtime. */
const OWN = new Set(
  Object.values(RUNTIME_ENV).flatMap((env) => Object.entries(env).map(([name, value]) => `${name}=${value}`)),
);

/**
 * What a run finds of a sealed environment. Names that steer the loader are emptied in the image; a run does not even
 * have them empty. What sjs itself set for the runtime stays.
 */
export function splitEnv(env: readonly string[]): {
  readonly set: Record<string, string>;
  readonly unset: readonly string[];
} {
  const set = new Map<string, string>();
  const unset: string[] = [];
  for (const entry of env) {
    const name = entry.slice(0, entry.indexOf('='));
    const isKept = name === 'PATH' || name === 'HOME' || OWN.has(entry);
    if (isReservedEnv(name) && !isKept) unset.push(name);
    else set.set(name, entry.slice(name.length + 1));
  }
  return { set: Object.fromEntries(set), unset };
}
