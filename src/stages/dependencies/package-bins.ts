import { posix } from 'node:path';
import { isWhiteout } from '../../model/whiteout.js';
import { hasUnprintable } from '../../model/sandbox.js';
import { NAME_BYTES } from '../../model/source-tree.js';
import { objectOf, type Manifest } from './package-graph.js';

/**
 * The commands of a package, name to file, both plain: nothing leads out of a folder (npm-normalize-package-bin).
 * @param files what the package has; `directories.bin` names a folder of commands
 */
export function binsOf(
  name: string,
  manifest: Manifest,
  files: Iterable<string>,
): ReadonlyMap<string, string> {
  const { bin } = manifest;
  const bins = new Map<string, string>();
  const add = (command: string, target: unknown): void => {
    const base = posix.join('/', posix.basename(command.replace(/[\\:]/g, '/'))).slice(1);
    if (typeof target !== 'string' || base === '' || base === '.' || base === '..') return;
    if (isWhiteout(base)) return;
    const file = posix.join('/', target.replace(/\\/g, '/')).slice(1);
    if (file !== '') bins.set(base, file);
  };
  if (typeof bin === 'string') add(name, bin);
  else if (Array.isArray(bin)) for (const file of bin) add(posix.basename(String(file)), file);
  else if (bin !== undefined) for (const [command, file] of Object.entries(objectOf(bin))) add(command, file);
  else {
    const folder = objectOf(manifest['directories'])['bin'];
    if (typeof folder !== 'string') return bins;
    const prefix = `${posix.join('/', folder).slice(1).replace(/\/$/, '')}/`;
    for (const file of files) {
      // As @npmcli/package-json: what is hidden is no command.
      const inside = file.startsWith(prefix) ? file.slice(prefix.length) : '';
      if (inside !== '' && !inside.split('/').some((part) => part.startsWith('.')))
        add(posix.basename(file), file);
    }
  }
  return bins;
}

/**
 * A name of a command that no package has to have; null for none. npm would take the last part of a path for it, of which
 * only that of a scoped name is meant so.
 */
export function wrongCommand({ bin }: Manifest): string | null {
  const isWrong = (command: string): boolean =>
    hasUnprintable(command) ||
    /[/\\]/.test(command.replace(/^@[^/\\]+\//, '')) ||
    Buffer.byteLength(command) > NAME_BYTES;
  return Object.keys(objectOf(bin)).find(isWrong) ?? null;
}

/** So much of a file says whether its first line is to be changed. */
export const FIRST_LINE_BYTES = 2048;

/**
 * Where the first line of a program has the carriage return of Windows, which npm takes away (bin-links); null for none.
 * @param start at least the first {@link FIRST_LINE_BYTES} of a file, or all of it
 */
export function findReturn(start: Buffer): number | null {
  if (start[0] !== 0x23 || start[1] !== 0x21) return null;
  const end = start.subarray(0, FIRST_LINE_BYTES).indexOf('\n');
  return end < 4 || start[end - 1] !== 0x0d ? null : end - 1;
}
