import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { checkLinks } from '../../model/check-links.js';
import { cleanText } from '../../model/clean-text.js';
import type { Digest } from '../../model/digest.js';
import { SOURCE_LIMITS } from '../../model/source-tree.js';

/** A file, link or folder of a sealed source. Paths are below /app, `/`-separated. */
export type SealedEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly bytes: number;
      readonly executable: boolean;
      readonly digest: Digest;
    }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'folder'; readonly path: string };

/** The layer that holds nothing: what an instruction makes that changes no file. */
const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/** The layer that sjs put over the base; the layers behind it are empty. */
export function findSourceLayer(diffIds: readonly Digest[]): Digest {
  const found = [...diffIds].reverse().find((diffId) => diffId !== EMPTY_LAYER);
  if (found !== undefined) return found;
  throw refuse('it has no layer of its own');
}

/** What sjs puts beside the source. */
const OWN = new Set(['.sjs', 'out']);

/**
 * The sealed source in a layer, sorted by path. The archive may come from anybody: what sjs would not have packed is
 * refused (names that lead elsewhere, links that leave /app, devices, hard links, more than a source may have).
 * @param onFile gets the content of each file, in the order of the archive
 * @throws SjsError `SEAL_REFUSED`.
 */
export async function readSource(
  tar: Readable,
  onFile: (path: string, executable: boolean, content: AsyncIterable<Uint8Array>) => Promise<void> = drain,
): Promise<readonly SealedEntry[]> {
  const found: SealedEntry[] = [];
  const seen = new Set<string>();
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  try {
    for await (const entry of entries) {
      const { name, type, mode = 0, linkname } = entry.header;
      const parts = name.replace(/\/$/, '').split('/');
      checkParts(name, parts);
      const path = parts.slice(1).join('/');
      if (parts[0] !== 'app' && !OWN.has(parts[0] ?? '')) throw refuse(`it puts a file at /${shown(name)}`);
      if (parts[0] !== 'app' || path === '') {
        entry.resume();
        continue;
      }
      if (seen.has(path)) throw refuse(`it has ${shown(path)} twice`);
      seen.add(path);
      if (seen.size > SOURCE_LIMITS.files) throw refuse(`it has more than ${SOURCE_LIMITS.files} files`);
      if (type === 'directory') found.push({ kind: 'folder', path });
      else if (type === 'symlink') found.push({ kind: 'symlink', path, target: linkname ?? '' });
      else if (type === 'file') {
        const executable = (mode & 0o100) !== 0;
        const counter = new Counter(entry as AsyncIterable<Uint8Array>);
        await onFile(path, executable, counter.pass());
        found.push({ kind: 'file', path, executable, ...counter.result() });
      } else throw refuse(`/${shown(name)} is a ${type}`);
      entry.resume();
    }
  } catch (error) {
    if (error instanceof SjsError) throw error;
    throw new SjsError('SEAL_REFUSED', 'the layer of the source cannot be read', { cause: error });
  } finally {
    tar.destroy();
  }
  checkParents(found);
  checkLinks(found.map((entry) => (entry.kind === 'file' ? { ...entry, device: 0, inode: 0 } : entry)));
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What a file has in it, counted and digested on its way. */
class Counter {
  private readonly hash = createHash('sha256');
  private readonly content: AsyncIterable<Uint8Array>;
  private bytes = 0;

  constructor(content: AsyncIterable<Uint8Array>) {
    this.content = content;
  }

  async *pass(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.content) {
      this.hash.update(chunk);
      this.bytes += chunk.length;
      yield chunk;
    }
  }

  result(): { readonly bytes: number; readonly digest: Digest } {
    return { bytes: this.bytes, digest: `sha256:${this.hash.digest('hex')}` };
  }
}

async function drain(_path: string, _executable: boolean, content: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = content[Symbol.asyncIterator]();
  while (!(await pieces.next()).done);
}

function checkParts(name: string, parts: readonly string[]): void {
  const isWrong =
    name.includes('\0') ||
    Buffer.byteLength(name) > SOURCE_LIMITS.pathBytes + 'app/'.length ||
    parts.length > SOURCE_LIMITS.depth + 1 ||
    parts.some((part) => part === '' || part === '.' || part === '..' || part.startsWith('.wh.'));
  if (isWrong) throw refuse(`it has the name ${shown(name)}`);
}

/** Every folder has its own entry, and nothing lies below a file or a link: nobody can be led elsewhere while writing. */
function checkParents(entries: readonly SealedEntry[]): void {
  const folders = new Set(entries.flatMap(({ kind, path }) => (kind === 'folder' ? [path] : [])));
  for (const { path } of entries) {
    const slash = path.lastIndexOf('/');
    if (slash > 0 && !folders.has(path.slice(0, slash))) throw refuse(`${shown(path)} lies in no folder`);
  }
}

const shown = (name: string): string => cleanText(JSON.stringify(name.slice(0, 200)));

function refuse(why: string): SjsError {
  return new SjsError('SEAL_REFUSED', `the sealed source is none that sjs would have packed: ${why}`, {
    next: 'do not use this image; build it again from its source',
  });
}
