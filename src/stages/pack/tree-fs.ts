import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { Readable } from 'node:stream';
import { isErrno, SjsError } from '../../errors.js';
import type { SourceEntry, SourceTree } from '../../model/source-tree.js';

type Callback<T> = (error: Error | null, value?: T) => void;
/** A file of the disk. */
export type FileEntry = Extract<SourceEntry, { kind: 'file' }>;

/** Node frees pieces late: with twice as much, a large source takes 13 MB more at its peak, and no less time. */
const CHUNK_BYTES = 8 * 1024;

/** The calls that tar-fs makes on a file system. */
export interface TreeFs {
  lstat(path: string, callback: Callback<Partial<Stats>>): void;
  readdir(path: string, callback: Callback<string[]>): void;
  readlink(path: string, callback: Callback<string>): void;
  createReadStream(path: string): Readable;
}

/**
 * A file system for tar-fs that shows the collected tree and nothing else. Only contents come from the disk, and only
 * from the very files that were collected: tar-fs by itself opens by name, and would follow a link that somebody put
 * there in between (ATTACKS P03, P04).
 */
export function createTreeFs(tree: SourceTree): TreeFs {
  const entries = new Map<string, SourceEntry>(tree.entries.map((entry) => [entry.path, entry]));
  const children = new Map<string, string[]>([['', []]]);
  for (const { path, kind } of tree.entries) if (kind === 'folder') children.set(path, []);
  for (const { path } of tree.entries) {
    const slash = path.lastIndexOf('/');
    const siblings = children.get(slash < 0 ? '' : path.slice(0, slash));
    if (siblings === undefined) throw new SjsError('INTERNAL', `${path} has no folder in the tree`);
    siblings.push(path.slice(slash + 1));
  }
  // tar-fs joins the root, which is absolute and resolved, and a name of the tree.
  const nameOf = (path: string): string => path.slice(prefixOf(tree.root).length);
  const find = (path: string): SourceEntry | undefined => entries.get(nameOf(path));
  return {
    lstat: (path, callback) => callback(null, describe(find(path))),
    readdir: (path, callback) => callback(null, [...(children.get(nameOf(path)) ?? [])]),
    readlink: (path, callback) => {
      const entry = find(path);
      callback(null, entry?.kind === 'symlink' ? entry.target : '');
    },
    createReadStream: (path) => {
      const entry = find(path);
      if (entry?.kind === 'inline') return Readable.from([entry.content], { objectMode: false });
      if (entry?.kind !== 'file') throw new SjsError('INTERNAL', `${path} is not a file of the source`);
      return streamOf(readCollected(tree.root, entry));
    },
  };
}

/** What stands before the names of a tree: a root can be `/`. */
const prefixOf = (root: string): string => (root.endsWith('/') ? root : `${root}/`);

/** The source's root itself has no entry: it is a folder. */
function describe(entry: SourceEntry | undefined): Partial<Stats> {
  const kind = entry?.kind ?? 'folder';
  return {
    mode: 0,
    size: entry?.kind === 'file' ? entry.bytes : entry?.kind === 'inline' ? entry.content.length : 0,
    isSocket: () => false,
    isFile: () => kind === 'file' || kind === 'inline',
    isDirectory: () => kind === 'folder',
    isSymbolicLink: () => kind === 'symlink',
  };
}

/** Readable.from takes three times as long for a small file: it awaits each piece. */
function streamOf(pieces: Generator<Uint8Array, void>): Readable {
  return new Readable({
    read() {
      try {
        const piece = pieces.next();
        this.push(piece.done ? null : piece.value);
      } catch (error) {
        this.destroy(error as Error);
      }
    },
    destroy(error, callback) {
      pieces.return(undefined);
      callback(error);
    },
  });
}

/** The bytes of a collected file, for what has to be looked into. Throws as packing it does. */
export function readWhole(root: string, entry: FileEntry): Buffer {
  return Buffer.concat([...readCollected(root, entry)]);
}

/** Without the thread pool, whose way there and back takes longer than reading a small file. */
function* readCollected(root: string, entry: FileEntry): Generator<Uint8Array, void> {
  const file = openCollected(root, entry);
  try {
    let position = 0;
    // One byte more than expected is asked for, to see that the file has not grown.
    while (position <= entry.bytes) {
      const buffer = Buffer.allocUnsafe(Math.min(entry.bytes - position + 1, CHUNK_BYTES));
      const bytesRead = readSync(file, buffer, 0, buffer.length, position);
      position += bytesRead;
      if (position > entry.bytes) break;
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      if (bytesRead < buffer.length) break;
    }
    if (position !== entry.bytes) throw changed(entry, 'changed its size');
  } finally {
    closeSync(file);
  }
}

function openCollected(root: string, entry: FileEntry): number {
  const path = `${prefixOf(root)}${entry.path}`;
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (isErrno(cause, 'EACCES', 'EPERM', 'EIO')) {
      throw new SjsError('SOURCE_UNREADABLE', `${entry.path} cannot be read: ${cause.code}`, {
        cause,
        next: 'make it readable, or exclude it with .sjsignore',
      });
    }
    throw changed(entry, 'was replaced', cause);
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.dev !== entry.device || stats.ino !== entry.inode)
      throw changed(entry, 'was replaced');
    if (process.platform === 'linux' && readlinkSync(`/proc/self/fd/${file}`) !== path) {
      throw changed(entry, 'was reached through a link');
    }
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function changed(entry: SourceEntry, how: string, cause?: unknown): SjsError {
  return new SjsError('SOURCE_CHANGED', `${entry.path} ${how} while the source was packed`, {
    cause,
    next: 'build again when nothing writes to the source',
  });
}
