import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * The absolute path of a program in a PATH, or null. Relative entries, and folders that anybody may write to, are
 * passed over: who can put a file there could answer for the program (CWE-426). A dozen short questions: asked one after
 * the other of a pool of threads they take longer than all else before a program starts.
 */
export function findProgram(name: string, path: string): string | null {
  if (isAbsolute(name)) return isProgram(name) ? name : null;
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name)) return null;
  for (const folder of path.split(delimiter)) {
    if (!isAbsolute(folder) || isOpenToAll(folder)) continue;
    const candidate = join(folder, name);
    if (isProgram(candidate)) return candidate;
  }
  return null;
}

function isOpenToAll(folder: string): boolean {
  try {
    return (statSync(realpathSync(folder)).mode & 0o002) !== 0;
  } catch {
    return true;
  }
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
