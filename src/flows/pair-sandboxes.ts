import { dirname, relative, resolve } from 'node:path';
import { SjsError } from '../errors.js';
import { findSandboxes } from '../stages/load/find-sandboxes.js';

/** The sandboxes below two folders, those at the same place side by side; null where one folder has none. */
export async function pairSandboxes(
  from: string,
  to: string,
): Promise<readonly { readonly path: string; readonly from: string | null; readonly to: string | null }[]> {
  const find = async (folder: string): Promise<ReadonlyMap<string, string>> => {
    const files = await findSandboxes(folder).catch((error: unknown) => {
      if (error instanceof SjsError && error.code === 'FILE_NOT_FOUND') return [];
      throw error;
    });
    return new Map(files.map((file) => [relative(resolve(folder), dirname(file)) || '.', file]));
  };
  const [before, after] = await Promise.all([find(from), find(to)]);
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort()
    .map((path) => ({ path, from: before.get(path) ?? null, to: after.get(path) ?? null }));
}
