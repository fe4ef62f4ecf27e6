import { SjsError } from '../errors.js';
import type { SourceEntry } from './source-tree.js';

const MOST_STEPS = 40;

/**
 * Follows every symbolic link through the collected tree alone, never through the file system, and refuses what
 * leaves the source, is absolute, or never ends (ATTACKS P01, P02).
 */
export function checkLinks(entries: readonly SourceEntry[]): void {
  const links = new Map(
    entries.flatMap((entry) => (entry.kind === 'symlink' ? [[entry.path, entry.target]] : [])),
  );
  for (const [path, target] of links) {
    const refuse = (why: string): SjsError =>
      new SjsError('SOURCE_LINK', `the link ${path} -> ${target} ${why}`, {
        next: 'copy the file into the source, or exclude the link with .sjsignore',
      });
    let steps = 0;
    const pending = [...path.split('/').slice(0, -1), ...parts(target, refuse)];
    const reached: string[] = [];
    while (pending.length > 0) {
      const part = pending.shift();
      if (part === undefined || part === '.' || part === '') continue;
      if (part === '..') {
        if (reached.pop() === undefined) throw refuse('leaves the source');
        continue;
      }
      reached.push(part);
      const next = links.get(reached.join('/'));
      if (next === undefined) continue;
      if (++steps > MOST_STEPS) throw refuse('never ends: it is part of a loop');
      reached.pop();
      pending.unshift(...parts(next, refuse));
    }
  }
}

function parts(target: string, refuse: (why: string) => SjsError): string[] {
  if (target.startsWith('/')) throw refuse('is absolute');
  return target.split('/');
}
