import { SjsError } from '../../errors.js';
import { escapeUnprintable, hasUnprintable } from '../../model/sandbox.js';
import { SOURCE_LIMITS } from '../../model/source-tree.js';
import { isWhiteout } from '../../model/whiteout.js';

/**
 * The text of a file name as the system gave it.
 * @throws SjsError `SOURCE_NAME` when it is not UTF-8, has control characters, or is a trap on another system.
 */
export function decodeName(raw: Buffer, folder: string): string {
  const fail = (name: string, why: string): SjsError =>
    new SjsError('SOURCE_NAME', `a file name in ${folder === '' ? 'the source' : folder} ${why}: "${name}"`, {
      next: 'rename it, or exclude it with .sjsignore',
    });
  let name: string;
  try {
    // Without ignoreBOM a leading U+FEFF is dropped, and the name is that of another file.
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw fail(
      raw.toString('latin1').replace(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`),
      'is not UTF-8',
    );
  }
  if (hasUnprintable(name)) throw fail(escapeUnprintable(name), 'has characters that cannot be seen');
  if (name.includes('\\')) throw fail(name, 'has a backslash');
  return name;
}

/** Checks a path's length and depth. */
export function checkPath(path: string): void {
  if (path.split('/').length > SOURCE_LIMITS.depth) {
    throw new SjsError(
      'SOURCE_TOO_DEEP',
      `${shorten(path)} lies more than ${SOURCE_LIMITS.depth} folders deep`,
      {
        next: 'exclude the folder with .sjsignore, or flatten it',
      },
    );
  }
  if (Buffer.byteLength(path) > SOURCE_LIMITS.pathBytes) {
    throw new SjsError(
      'SOURCE_NAME',
      `the path ${shorten(path)} is longer than ${SOURCE_LIMITS.pathBytes} bytes`,
      {
        next: 'shorten it, or exclude it with .sjsignore',
      },
    );
  }
}

/** Refuses a name that means something else in a layer: parents are looked at by themselves. */
export function checkInLayer(path: string): void {
  if (!isWhiteout(path.slice(path.lastIndexOf('/') + 1))) return;
  throw new SjsError(
    'SOURCE_NAME',
    `${path} would remove a file: in the layers of an image that is what a name with .wh. in front means`,
    { next: 'rename it, or exclude it with .sjsignore' },
  );
}

const shorten = (path: string): string =>
  path.length > 120 ? `${path.slice(0, 60)}…${path.slice(-50)}` : path;

/**
 * Refuses two paths that are one on a file system that folds letter case or Unicode forms: the image would not be the
 * same from there.
 */
export function checkCollisions(paths: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const path of paths) {
    const folded = path.normalize('NFC').toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined) {
      throw new SjsError(
        'SOURCE_COLLISION',
        `${other} and ${path} differ only in letter case or Unicode form`,
        {
          next: 'rename one of them, or exclude it with .sjsignore',
        },
      );
    }
    seen.set(folded, path);
  }
}
