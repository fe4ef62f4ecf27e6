import { SjsError } from '../../errors.js';
import { escapeUnprintable, hasUnprintable } from '../../model/sandbox.js';
import type { RunStreams } from '../../ports/engine.js';

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_PATH_BYTES = 1024;

type ArtifactStreams = Pick<RunStreams, 'onArtifact' | 'onSkippedArtifact'>;

/**
 * Reads the collector's frames (see guest/collector.ts) and hands the files over. Nothing in them is trusted: paths
 * are checked, and files and bytes counted against the limits of /out.
 * @throws SjsError `ENGINE_FAILED` for anything but a complete, well-formed sequence of frames.
 */
export async function readCollectorFrames(
  source: AsyncIterable<Uint8Array>,
  limits: { readonly bytes: number; readonly files: number },
  streams: ArtifactStreams,
): Promise<void> {
  const reader = createByteReader(source);
  const seen = new Set<string>();
  let bytesLeft = limits.bytes;
  // The collector says a word about every entry, and every entry is an inode.
  for (let frames = 0; frames <= limits.files; frames += 1) {
    const header = parseHeader(await reader.read(await readLength(reader)));
    if (header.kind === 'end') return;
    if (header.kind === 'skip') {
      streams.onSkippedArtifact(header.path, header.reason);
      continue;
    }
    const { path, bytes } = header;
    if (seen.has(path)) throw invalid('it names a file twice');
    seen.add(path);
    if (bytes > bytesLeft) throw invalid('it sends more bytes than /out may hold');
    bytesLeft -= bytes;
    // Taken in any case: the next frame begins after it.
    const content = reader.stream(bytes);
    if (hasUnprintable(path)) {
      streams.onSkippedArtifact(show(path), 'its name has characters that cannot be shown');
    } else {
      await streams.onArtifact(path, bytes, content);
    }
  }
  throw invalid('it sends more entries than /out may hold');
}

type Header =
  | { readonly kind: 'end' }
  | { readonly kind: 'skip'; readonly path: string; readonly reason: string }
  | { readonly kind: 'file'; readonly path: string; readonly bytes: number };

function parseHeader(data: Uint8Array): Header {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data));
  } catch {
    throw invalid('a header is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw invalid('a header is not an object');
  const { path, bytes, skip, reason, end } = value as Record<string, unknown>;
  if (end === true) return { kind: 'end' };
  if (typeof skip === 'string' && typeof reason === 'string') {
    return { kind: 'skip', path: show(skip), reason: show(reason) };
  }
  if (typeof path !== 'string' || !isArtifactPath(path)) throw invalid('a path leads out of /out');
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw invalid('a size is not a number of bytes');
  return { kind: 'file', path, bytes: bytes as number };
}

/** Relative, `/`-separated, every part a name of its own. */
export function isArtifactPath(path: string): boolean {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES || path.includes('\0')) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Escaped it may be six times as long. */
function show(text: string): string {
  const shown = escapeUnprintable(text.slice(0, MAX_PATH_BYTES));
  return shown.length > MAX_PATH_BYTES ? `${shown.slice(0, MAX_PATH_BYTES - 1)}…` : shown;
}

function invalid(why: string): SjsError {
  return new SjsError('ENGINE_FAILED', `the collector's answer about /out cannot be used: ${why}`);
}

interface ByteReader {
  /** Exactly so many bytes, after what is left of the last stream. */
  read(length: number): Promise<Uint8Array>;
  /** So many bytes piece by piece; who takes them may stop early. */
  stream(length: number): AsyncGenerator<Uint8Array, void, void>;
}

async function readLength(reader: ByteReader): Promise<number> {
  const data = await reader.read(4);
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0);
  if (length > MAX_HEADER_BYTES) throw invalid('a header is too long');
  return length;
}

function createByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  /** What the stream that was handed out has not delivered yet. */
  let left = 0;
  const next = async (most: number): Promise<Uint8Array> => {
    while (rest.length === 0) {
      const result = await iterator.next();
      if (result.done) throw invalid('it ends too early');
      rest = result.value;
    }
    const part = rest.subarray(0, most);
    rest = rest.subarray(part.length);
    return part;
  };
  async function* deliver(): AsyncGenerator<Uint8Array, void, void> {
    while (left > 0) {
      const part = await next(left);
      left -= part.length;
      yield part;
    }
  }
  return {
    stream(length) {
      left = length;
      return deliver();
    },
    async read(length) {
      while (left > 0) left -= (await next(left)).length;
      const data = new Uint8Array(length);
      for (let offset = 0; offset < length;) {
        const part = await next(length - offset);
        data.set(part, offset);
        offset += part.length;
      }
      return data;
    },
  };
}
