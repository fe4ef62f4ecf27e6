import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * The absolute path of a program in a PATH, or null. Relative entries, and folders that anybody may write to, are
 * passed over: who can put a file there could answer for the program (CWE-426).
 */
export async function findProgram(name: string, path: string): Promise<string | null> {
  if (isAbsolute(name)) return (await isProgram(name)) ? name : null;
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name)) return null;
  for (const folder of path.split(delimiter)) {
    if (!isAbsolute(folder) || (await isOpenToAll(folder))) continue;
    const candidate = join(folder, name);
    if (await isProgram(candidate)) return candidate;
  }
  return null;
}

async function isOpenToAll(folder: string): Promise<boolean> {
  try {
    return ((await stat(await realpath(folder))).mode & 0o002) !== 0;
  } catch {
    return true;
  }
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
