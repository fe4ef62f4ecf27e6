import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import { formatBytes } from '../../model/quantity.js';
import { escapeUnprintable, hasUnprintable } from '../../model/sandbox.js';
import { SOURCE_LIMITS, type SourceEntry, type SourceTree } from '../../model/source-tree.js';
import { checkCollisions, checkInLayer, checkPath, decodeName } from './check-names.js';
import { checkLinks } from '../../model/check-links.js';
import type { IgnoreRules } from './ignore-rules.js';

/** One walk over a source: what it has seen so far, and every refusal with the name and figure. */
export class Walk {
  private readonly entries: SourceEntry[] = [];
  private readonly withheld: string[] = [];
  private readonly hardLinks = new Map<string, { count: number; expected: number; path: string }>();
  private totalBytes = 0;
  private readonly root: string;
  private readonly rules: IgnoreRules;
  private readonly maxBytes: number;

  constructor(root: string, rules: IgnoreRules, maxBytes: number) {
    this.root = root;
    this.rules = rules;
    this.maxBytes = maxBytes;
  }

  /** Without the thread pool, which makes many small looks ten times as long. */
  enter(folder: string, device: number): void {
    const names = this.readFolder(folder);
    const children = names.map((name) => (folder === '' ? name : `${folder}/${name}`));
    for (const path of children) checkPath(path);
    const open = children.filter((path) => {
      if (this.rules.excludes(path) && !this.rules.hasExceptions) return false;
      if (!this.rules.withholds(path)) return true;
      this.withheld.push(path);
      return false;
    });
    const stats = open.map((path) => this.inspect(path));
    for (const [index, path] of open.entries()) {
      const stat = stats[index];
      if (stat === undefined) continue;
      const excluded = this.rules.excludes(path);
      if (stat.isDirectory()) {
        if (stat.dev !== device) {
          throw new SjsError('SOURCE_OUTSIDE', `${path} is another file system, mounted into the source`, {
            next: 'exclude it with .sjsignore',
          });
        }
        if (!excluded) this.add({ kind: 'folder', path });
        this.enter(path, device);
      } else if (excluded) continue;
      else if (stat.isSymbolicLink()) this.addLink(path);
      else this.addFile(path, stat);
    }
  }

  addFile(path: string, stats: Stats): void {
    if (!stats.isFile()) {
      throw new SjsError('SOURCE_SPECIAL_FILE', `${path} is a device, a pipe or a socket`, {
        next: 'remove it, or exclude it with .sjsignore',
      });
    }
    if (stats.nlink > 1) {
      const key = `${stats.dev}:${stats.ino}`;
      const link = this.hardLinks.get(key) ?? { count: 0, expected: stats.nlink, path };
      link.count += 1;
      this.hardLinks.set(key, link);
    }
    this.totalBytes += stats.size;
    if (this.totalBytes > this.maxBytes) {
      throw new SjsError(
        'SOURCE_TOO_LARGE',
        `the source is larger than ${formatBytes(this.maxBytes)}: passed at ${path} (${formatBytes(stats.size)})`,
        { next: 'exclude what the program does not need with .sjsignore' },
      );
    }
    const executable = (stats.mode & 0o100) !== 0;
    this.add({ kind: 'file', path, bytes: stats.size, executable, device: stats.dev, inode: stats.ino });
  }

  finish(): SourceTree {
    for (const { count, expected, path } of this.hardLinks.values()) {
      if (count < expected) {
        throw new SjsError(
          'SOURCE_LINK',
          `${path} has ${expected - count} more hard links outside the source`,
          {
            next: 'copy the file instead of linking it, or exclude it with .sjsignore',
          },
        );
      }
    }
    this.addParents();
    this.entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    checkCollisions(this.entries.map((entry) => entry.path));
    checkLinks(this.entries);
    return {
      root: this.root,
      entries: this.entries,
      totalBytes: this.totalBytes,
      withheld: this.withheld.sort(),
    };
  }

  /** Folders that are excluded themselves but hold something that is not. */
  private addParents(): void {
    const known = new Set(this.entries.map((entry) => entry.path));
    for (const { path } of [...this.entries]) {
      for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
        const parent = path.slice(0, end);
        if (known.has(parent)) break;
        known.add(parent);
        this.add({ kind: 'folder', path: parent });
      }
    }
  }

  private add(entry: SourceEntry): void {
    checkInLayer(entry.path);
    if (this.entries.push(entry) > SOURCE_LIMITS.files) {
      throw new SjsError(
        'SOURCE_TOO_MANY_FILES',
        `the source has more than ${SOURCE_LIMITS.files} files and folders`,
        {
          next: 'exclude what the program does not need with .sjsignore',
        },
      );
    }
  }

  private addLink(path: string): void {
    const target = attempt(path, () => readlinkSync(join(this.root, path)));
    if (hasUnprintable(target)) {
      throw new SjsError(
        'SOURCE_NAME',
        `the target of the link ${path} has characters that cannot be seen: "${escapeUnprintable(target)}"`,
      );
    }
    this.add({ kind: 'symlink', path, target });
  }

  private readFolder(folder: string): string[] {
    const names = attempt(folder || '.', () => readdirSync(join(this.root, folder), { encoding: 'buffer' }));
    if (names.length > SOURCE_LIMITS.files) {
      throw new SjsError(
        'SOURCE_TOO_MANY_FILES',
        `${folder || 'the source'} has ${names.length} entries; ${SOURCE_LIMITS.files} are allowed`,
        {
          next: 'exclude the folder with .sjsignore',
        },
      );
    }
    return names.map((name) => decodeName(name, folder)).sort();
  }

  private inspect(path: string): Stats {
    return attempt(path, () => lstatSync(join(this.root, path)));
  }
}

function attempt<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw asUnreadable(cause, path);
  }
}

function asUnreadable(cause: unknown, path: string): unknown {
  if (isErrno(cause, 'ENOENT', 'EINVAL')) {
    return new SjsError('SOURCE_CHANGED', `${path} went away while the source was read`, {
      cause,
      next: 'build again',
    });
  }
  if (!isErrno(cause, 'EACCES', 'EPERM', 'EIO', 'ELOOP', 'ENOTDIR', 'ENAMETOOLONG')) return cause;
  return new SjsError('SOURCE_UNREADABLE', `${path} cannot be read: ${cause.code}`, {
    cause,
    next: 'make it readable, or exclude it with .sjsignore',
  });
}
