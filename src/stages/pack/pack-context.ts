import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pack as packTree, type Headers, type PackOptions } from 'tar-fs';
import { pack as createPack, type Pack } from 'tar-stream';
import { SjsError } from '../../errors.js';
import type { Digest } from '../../model/digest.js';
import { inPieces } from '../../model/in-pieces.js';
import type { SourceTree } from '../../model/source-tree.js';
import { EPOCH, plainHeader } from '../../model/tar-header.js';
import { createTreeFs } from './tree-fs.js';

type Header = Parameters<Pack['entry']>[0];

/** Everything that goes into a build context. */
export interface ContextParts {
  readonly dockerfile: string;
  readonly tree: SourceTree;
  /** What lies at /in, each a tree of its own. */
  readonly inputs?: readonly SourceTree[];
  /** sjs's own files in the image, by absolute path in it. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Empty folders in the image, as `/out`. */
  readonly folders: readonly string[];
}

/** A build context: an uncompressed tar, the same bytes for the same parts on every machine. */
export interface PackedContext {
  /** sha256 of the tar. */
  readonly digest: Digest;
  readonly bytes: number;
  /** The tar as a stream. Fails with `SOURCE_CHANGED` when it is no longer the tar that was digested. */
  open(): Readable;
}

/** A tar up to this size is kept from its digest to its sending; a larger one is packed again. */
const KEPT_BYTES = 8 * 1024 ** 2;

/**
 * Packs a context twice at most: once to digest it, once to send it. Owner 0, times 0, modes 0644 or 0755, sorted.
 * The image's file system lies below `layer/`, so that one COPY brings it in with the times given here (FACTS).
 * @throws SjsError `SOURCE_CHANGED`, `SOURCE_UNREADABLE`.
 */
export async function packContext(parts: ContextParts): Promise<PackedContext> {
  const hash = createHash('sha256');
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of streamTar(parts)) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes <= KEPT_BYTES) kept.push(chunk);
    else kept.length = 0;
  }
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  const pieces = (): Iterable<Uint8Array> | AsyncIterable<Uint8Array> =>
    bytes <= KEPT_BYTES ? kept : streamSame(parts, digest);
  return { digest, bytes, open: () => Readable.from(pieces(), { objectMode: false }) };
}

async function* streamSame(parts: ContextParts, expected: Digest): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of streamTar(parts)) {
    hash.update(chunk);
    yield chunk;
  }
  if (`sha256:${hash.digest('hex')}` !== expected) {
    throw new SjsError('SOURCE_CHANGED', 'the source changed while it was sent to the engine', {
      next: 'build again when nothing writes to the source',
    });
  }
}

async function* streamTar(parts: ContextParts): AsyncGenerator<Uint8Array> {
  const pack = createPack();
  void writeEntries(pack, parts).catch((error: unknown) => pack.destroy(error as Error));
  yield* inPieces(pack as unknown as AsyncIterable<Uint8Array>);
}

async function writeEntries(pack: Pack, parts: ContextParts): Promise<void> {
  const add = (name: string, content: Uint8Array | null): Promise<void> =>
    new Promise((done, fail) => {
      const header =
        content === null ? folder(name) : { ...plainHeader(name), size: content.length, mode: 0o644 };
      const settle = (error?: Error | null): void => (error ? fail(error) : done());
      if (content === null) pack.entry(header, settle);
      else pack.entry(header, Buffer.from(content), settle);
    });
  await add('Dockerfile', Buffer.from(parts.dockerfile));
  await add('layer', null);
  for (const name of foldersOf(parts)) await add(`layer${name}`, null);
  for (const [name, content] of Object.entries(parts.files).sort()) await add(`layer${name}`, content);
  for (const tree of parts.inputs ?? [])
    await addTree(
      pack,
      tree,
      'layer/in',
      tree.entries.map(({ path }) => path),
    );
  await addTree(pack, parts.tree, 'layer/app');
  pack.finalize();
}

/** @param entries what is taken of the tree; without it all, and the folder itself */
function addTree(pack: Pack, tree: SourceTree, at: string, entries?: string[]): Promise<void> {
  // Not from the header: tar-fs masks modes with the umask of the process.
  const executables = new Set(
    tree.entries.flatMap((e) => (e.kind === 'file' && e.executable ? [e.path] : [])),
  );
  return new Promise((done) => {
    const options: PackOptions & { fs: unknown; sort: boolean } = {
      fs: createTreeFs(tree),
      sort: true,
      strict: true,
      pack: pack,
      finalize: false,
      ...(entries && { entries }),
      finish: () => done(),
      map: (header) => normalize(header, at, executables),
    };
    packTree(tree.root, options);
  });
}

function foldersOf(parts: ContextParts): string[] {
  const ofInputs = parts.inputs?.length ? ['/in'] : [];
  const ofFiles = Object.keys(parts.files).map((name) => name.slice(0, name.lastIndexOf('/')));
  return [...new Set([...ofFiles, ...ofInputs, ...parts.folders])].filter((name) => name !== '').sort();
}

/** In place: tar-fs takes what it gave. */
function normalize(header: Headers, at: string, executables: ReadonlySet<string>): Headers {
  const executable = header.type === 'directory' || executables.has(header.name);
  header.name = header.name === '.' ? at : `${at}/${header.name}`;
  header.mode = header.type === 'symlink' ? 0o777 : executable ? 0o755 : 0o644;
  header.uid = header.gid = 0;
  header.mtime = EPOCH;
  return header;
}
const folder = (name: string): Header => ({ ...plainHeader(name), type: 'directory', mode: 0o755 });
