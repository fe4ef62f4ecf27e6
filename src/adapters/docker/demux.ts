import { SjsError } from '../../errors.js';

/** A piece of a container's output, in the order in which it was written. */
export interface OutputPiece {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
}

const HEADER_BYTES = 8;

/**
 * Splits the engine's multiplexed stream (header: stream type, three zeros, length as 32 bit big endian; then that many
 * bytes). Pieces are slices of the chunks that came in: nothing is collected, so memory stays bounded however long a
 * frame is, and what is read from the source is decided by who takes the pieces.
 * @throws SjsError `ENGINE_FAILED` for bytes that are no such stream, or one that ends inside a frame.
 */
export async function* demux(source: AsyncIterable<Uint8Array>): AsyncGenerator<OutputPiece, void, void> {
  const header = new Uint8Array(HEADER_BYTES);
  let headerBytes = 0;
  let stream: OutputPiece['stream'] = 'stdout';
  let left = 0;
  for await (const chunk of source) {
    let offset = 0;
    while (offset < chunk.length) {
      if (left > 0) {
        const data = chunk.subarray(offset, offset + left);
        offset += data.length;
        left -= data.length;
        yield { stream, data };
        continue;
      }
      const part = chunk.subarray(offset, offset + HEADER_BYTES - headerBytes);
      header.set(part, headerBytes);
      headerBytes += part.length;
      offset += part.length;
      if (headerBytes === HEADER_BYTES) {
        stream = streamOf(header);
        left = new DataView(header.buffer).getUint32(4);
        headerBytes = 0;
      }
    }
  }
  if (left > 0 || headerBytes > 0) {
    throw new SjsError('ENGINE_FAILED', "the engine's output stream ended inside a frame");
  }
}

function streamOf(header: Uint8Array): OutputPiece['stream'] {
  const isPadded = header[1] === 0 && header[2] === 0 && header[3] === 0;
  if (isPadded && header[0] === 1) return 'stdout';
  if (isPadded && header[0] === 2) return 'stderr';
  throw new SjsError('ENGINE_FAILED', `the engine's output stream has an unknown frame of type ${header[0]}`);
}
