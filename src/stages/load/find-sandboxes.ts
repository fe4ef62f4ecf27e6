import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SjsError } from '../../errors.js';

/**
 * Paths of every sandbox.yaml (or .yml) below a folder, sorted. Hidden folders and `node_modules` are passed over,
 * links are not followed.
 * @throws SjsError `FILE_NOT_FOUND` when there is none.
 */
export async function findSandboxes(directory: string): Promise<readonly string[]> {
  const root = resolve(directory);
  const found = await search(root);
  if (found.length > 0) return found.sort();
  throw new SjsError('FILE_NOT_FOUND', `there is no sandbox.yaml in ${root} or below it`, {
    next: 'sjs init writes one',
  });
}

async function search(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const nested = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isFile()) return /^sandbox\.ya?ml$/.test(entry.name) ? [path] : [];
    const isPassedOver = !entry.isDirectory() || entry.name.startsWith('.') || entry.name === 'node_modules';
    return isPassedOver ? [] : search(path);
  });
  return (await Promise.all(nested)).flat();
}
