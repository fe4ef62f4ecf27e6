import { isReservedEnv } from './sandbox.js';

/**
 * What a run finds of a sealed environment. Names that steer the loader are emptied in the image; a run does not even
 * have them empty.
 */
export function splitEnv(env: readonly string[]): {
  readonly set: Record<string, string>;
  readonly unset: readonly string[];
} {
  const set = new Map<string, string>();
  const unset: string[] = [];
  for (const entry of env) {
    const name = entry.slice(0, entry.indexOf('='));
    if (isReservedEnv(name) && name !== 'PATH' && name !== 'HOME') unset.push(name);
    else set.set(name, entry.slice(name.length + 1));
  }
  return { set: Object.fromEntries(set), unset };
}
