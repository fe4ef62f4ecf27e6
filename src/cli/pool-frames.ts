/** What both sides have to speak; another number is another language. */
export const PROTOCOL = 1;

/** What is said over the socket of a pool; each is one byte there, its place in this list. */
const TYPES = [
  // The client: who it is and what it wants, then the run. `args` are those of a call, as bytes.
  ...(['hello', 'status', 'stop', 'args', 'call', 'run', 'stdin', 'stdin-end', 'signal', 'abort'] as const),
  // The pool.
  ...(['answer', 'started', 'stdout', 'stderr', 'done', 'failed'] as const),
  // Both: so many bytes of what the other streams are taken, and there is room for as many again.
  'took',
] as const;

export type FrameType = (typeof TYPES)[number];

/** One thing that was said: JSON, or for streams and arguments bytes. */
export interface Frame {
  readonly type: FrameType;
  readonly body: Buffer;
}

/** Type, and length of the body as 32 bit big endian. */
const HEAD_BYTES = 5;
/** More than a result or arguments have; a length beyond it is no frame. */
export const MOST_BODY_BYTES = 256 * 1024 ** 2;
/** What a stream may have under way, not yet taken. */
const ROOM_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

/**
 * A frame as it goes over the socket.
 * @throws RangeError for a body that no frame has
 */
export function encodeFrame(type: FrameType, body: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(body as Uint8Array);
  if (bytes.length > MOST_BODY_BYTES) throw new RangeError(`a frame of ${bytes.length} bytes`);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(TYPES.indexOf(type));
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/**
 * The frames of a stream, however it is cut; one that ends in the middle of a frame ends before it.
 * @throws RangeError for what is no frame
 */
export async function* readFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame, undefined> {
  let held: Buffer[] = [];
  let bytes = 0;
  let wanted = HEAD_BYTES;
  for await (const chunk of source) {
    held.push(chunk);
    bytes += chunk.length;
    while (bytes >= wanted) {
      const all: Buffer = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held);
      const [type, length] = [TYPES[all.readUInt8()], all.readUInt32BE(1)];
      if (type === undefined || length > MOST_BODY_BYTES) throw new RangeError('that is no frame');
      const end = HEAD_BYTES + length;
      const isWhole = bytes >= end;
      const rest = isWhole ? all.subarray(end) : all;
      held = [rest];
      bytes = rest.length;
      wanted = isWhole ? HEAD_BYTES : end;
      if (isWhole) yield { type, body: all.subarray(HEAD_BYTES, end) };
    }
  }
}

/** Room for what the other side has not taken: who sends waits for it, so that what is read is never without bound. */
export interface Room {
  /** Sends it in pieces, each when there is room; what is sent when nobody takes it any more is dropped. */
  readonly send: (bytes: Uint8Array, send: (piece: Uint8Array) => void) => Promise<void>;
  readonly took: (bytes: number) => void;
  /** Nobody takes anything any more. */
  readonly close: () => void;
}

export function createRoom(): Room {
  let left = ROOM_BYTES;
  let isClosed = false;
  let wake = (): void => undefined;
  let last: Promise<void> = Promise.resolve();
  const sendAll: Room['send'] = async (bytes, send) => {
    for (let at = 0; at < bytes.length && !isClosed; at += PIECE_BYTES) {
      while (left <= 0 && !isClosed) await new Promise<void>((resolve) => (wake = resolve));
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      left -= piece.length;
      if (!isClosed) send(piece);
    }
  };
  return {
    // One after the other: two that wait would not know who is woken.
    send: (bytes, send) => (last = last.then(() => sendAll(bytes, send))),
    took(bytes) {
      left += bytes;
      wake();
    },
    close() {
      isClosed = true;
      wake();
    },
  };
}
