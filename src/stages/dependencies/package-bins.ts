import { posix } from 'node:path';
import { isWhiteout } from '../../model/whiteout.js';
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

/** The first line as Linux wants it: npm takes the carriage return of Windows away (bin-links). */
export function fixFirstLine(content: Buffer): Buffer {
  if (content[0] !== 0x23 || content[1] !== 0x21) return content;
  const end = content.subarray(0, 2048).indexOf('\n');
  if (end < 4 || content[end - 1] !== 0x0d) return content;
  return Buffer.concat([content.subarray(0, end - 1), content.subarray(end)]);
}
