import { readdirSync, readFileSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;

let found: readonly number[] | undefined;

/**
 * Descriptors above 2 that this process got from its parent and that its children would get too: Node opens its own
 * close-on-exec. Looked up once; empty where there is no /proc.
 */
export function inheritedDescriptors(): readonly number[] {
  found ??= readInherited();
  return found;
}

function readInherited(): readonly number[] {
  try {
    return readdirSync('/proc/self/fdinfo').map(Number).filter(isInherited);
  } catch {
    return [];
  }
}

function isInherited(fd: number): boolean {
  if (fd <= 2) return false;
  try {
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags !== undefined && (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    // It was the one that listed the folder.
    return false;
  }
}
