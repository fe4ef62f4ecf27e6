import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { extract, type Header } from 'tar-stream';
import { SjsError } from '../../errors.js';
import { checkLinks } from '../../model/check-links.js';
import { cleanText, showName } from '../../model/clean-text.js';
import type { Digest } from '../../model/digest.js';
import { filledLayers } from '../../model/image-layers.js';
import { OWN_FILES, OWN_FOLDERS, STRIPPED_LIST, typescriptName } from '../../model/own-files.js';
import { SOURCE_LIMITS } from '../../model/source-tree.js';
import { isWhiteout } from '../../model/whiteout.js';
import { parseJson } from '../../model/parse-json.js';

/** A file of a sealed source, or at /in. Its path is below that folder, `/`-separated. */
export interface SealedFile {
  readonly kind: 'file';
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
  readonly digest: Digest;
}

/** A file, link or folder of a sealed source. */
export type SealedEntry =
  | SealedFile
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'folder'; readonly path: string };

/** What the layer of a sealed image has of its author in it. */
export interface SealedSource {
  /** What lies below /app, sorted by path. */
  readonly entries: readonly SealedEntry[];
  /** What lies at /in, sorted by path. */
  readonly inputs: readonly SealedFile[];
  /** The files among the entries that were made of the TypeScript ones beside them. */
  readonly stripped: readonly string[];
  /** What sjs itself put in beside them, below /.sjs, sorted by path. */
  readonly own: readonly SealedFile[];
}

/** Gets the content of each file, in the order of the archive; what it does not read is passed over. */
export type FileTaker = (
  at: 'app' | 'in' | '.sjs',
  path: string,
  executable: boolean,
  content: AsyncIterable<Uint8Array>,
) => Promise<void>;

/** The layer that sjs put over the base; the layers behind it are empty. */
export function findSourceLayer(diffIds: readonly Digest[]): Digest {
  const found = filledLayers(diffIds).at(-1);
  if (found !== undefined) return found;
  throw refuse('it has no layer of its own');
}

/** Enough for every path that a source can have. */
const MOST_LIST_BYTES = 16 * 1024 ** 2;

/**
 * The sealed source in a layer. The archive may come from anybody: what sjs would not have packed is refused (names that
 * lead elsewhere, links that leave /app, devices, hard links, more than a source may have).
 * @throws SjsError `SEAL_REFUSED`.
 */
export async function readSource(tar: Readable, onFile: FileTaker = drain): Promise<SealedSource> {
  const found: SealedEntry[] = [];
  const inputs: SealedFile[] = [];
  const own: SealedFile[] = [];
  const seen = new Set<string>();
  let list: string | null = null;
  const archive = extract();
  tar.on('error', (error) => archive.destroy(error));
  tar.pipe(archive);
  try {
    for await (const entry of archive) {
      const { header } = entry;
      const { type, mode = 0, linkname } = header;
      const { top, path, whole } = placeOf(header);
      if (seen.has(whole)) throw refuse(`it has ${showName(whole)} twice`);
      seen.add(whole);
      if (seen.size > SOURCE_LIMITS.files) throw refuse(`it has more than ${SOURCE_LIMITS.files} files`);
      const executable = (mode & 0o100) !== 0;
      const readFile = async (at: 'app' | 'in'): Promise<SealedFile> => {
        const counter = new Counter(entry as AsyncIterable<Uint8Array>);
        await onFile(at, path, executable, counter.pass());
        return { kind: 'file', path, executable, ...counter.result() };
      };
      if (path === '') checkIs('directory', header);
      else if (top === 'in') {
        checkIs('file', header);
        if (path.includes('/')) throw refuse(`it has ${showName(whole)} below a folder of /in`);
        inputs.push(await readFile('in'));
      } else if (top !== 'app') {
        checkIs('file', header);
        const isList = `/${whole}` === STRIPPED_LIST;
        if (!isList && !OWN_FILES.includes(`/${whole}`))
          throw refuse(`it puts a file at /${showName(whole)}`);
        const counter = new Counter(entry as AsyncIterable<Uint8Array>);
        if (isList) list = await readList(counter.pass());
        await onFile('.sjs', path, executable, list === null || !isList ? counter.pass() : piecesOf(list));
        own.push({ kind: 'file', path, executable, ...counter.result() });
      } else if (type === 'directory') found.push({ kind: 'folder', path });
      else if (type === 'symlink') found.push({ kind: 'symlink', path, target: linkname ?? '' });
      else {
        checkIs('file', header);
        found.push(await readFile('app'));
      }
      entry.resume();
    }
  } catch (error) {
    if (error instanceof SjsError) throw error;
    throw new SjsError('SEAL_REFUSED', 'the layer of the source cannot be read', { cause: error });
  } finally {
    tar.destroy();
  }
  checkParents(found);
  refuseLinks(found);
  return {
    entries: found.sort(byPath),
    inputs: inputs.sort(byPath),
    stripped: list === null ? [] : parseList(list, found),
    own: own.sort(byPath),
  };
}

/** Where in the image an entry of the archive lies: in which of our folders, and where below it. */
function placeOf({ name, mode = 0 }: Header): {
  readonly top: string;
  readonly path: string;
  readonly whole: string;
} {
  const whole = name.replace(/\/$/, '');
  const parts = whole.split('/');
  const isWrong =
    name.includes('\0') ||
    Buffer.byteLength(name) > SOURCE_LIMITS.pathBytes + 'app/'.length ||
    parts.length > SOURCE_LIMITS.depth + 1 ||
    parts.some((part) => part === '' || part === '.' || part === '..' || isWhiteout(part));
  if (isWrong) throw refuse(`it has the name ${showName(name)}`);
  const [top = ''] = parts;
  if (!OWN_FOLDERS.includes(top)) throw refuse(`it puts a file at /${showName(name)}`);
  if ((mode & 0o7000) !== 0) throw refuse(`/${showName(name)} is setuid, setgid or sticky`);
  return { top, path: whole.slice(top.length + 1), whole };
}

function checkIs(wanted: 'file' | 'directory', { name, type }: Header): void {
  if (type !== wanted) throw refuse(`/${showName(name)} is a ${type}`);
}

async function* piecesOf(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

async function readList(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > MOST_LIST_BYTES) throw refuse(`${STRIPPED_LIST} is too large`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Whoever takes the source out leaves these behind: nothing may hide there that has no TypeScript file. */
function parseList(text: string, entries: readonly SealedEntry[]): readonly string[] {
  const files = new Set(entries.flatMap(({ kind, path }) => (kind === 'file' ? [path] : [])));
  const isMade = (path: unknown): boolean =>
    typeof path === 'string' &&
    files.has(path) &&
    typescriptName(path) !== path &&
    files.has(typescriptName(path));
  const list = readJson(text);
  if (Array.isArray(list) && list.every(isMade)) return list as string[];
  throw refuse(`${STRIPPED_LIST} does not list what was made of TypeScript files`);
}

function readJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : 1;

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

const drain: FileTaker = async (_at, _path, _executable, content) => {
  const pieces = content[Symbol.asyncIterator]();
  while (!(await pieces.next()).done);
};

/** Every folder has its own entry, and nothing lies below a file or a link: nobody can be led elsewhere while writing. */
function checkParents(entries: readonly SealedEntry[]): void {
  const folders = new Set(entries.flatMap(({ kind, path }) => (kind === 'folder' ? [path] : [])));
  for (const { path } of entries) {
    const slash = path.lastIndexOf('/');
    if (slash > 0 && !folders.has(path.slice(0, slash))) throw refuse(`${showName(path)} lies in no folder`);
  }
}

function refuseLinks(entries: readonly SealedEntry[]): void {
  try {
    checkLinks(entries.map((entry) => (entry.kind === 'file' ? { ...entry, device: 0, inode: 0 } : entry)));
  } catch (error) {
    throw error instanceof SjsError ? refuse(cleanText(error.message)) : error;
  }
}

function refuse(why: string): SjsError {
  return new SjsError('SEAL_REFUSED', `the sealed source is none that sjs would have packed: ${why}`, {
    next: 'do not use this image; build it again from its source',
  });
}
