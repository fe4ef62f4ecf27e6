import type { Duplex } from 'node:stream';
import type { RunStreams } from '../../ports/engine.js';
import { demux } from './demux.js';

/** A mark has some eighty bytes in both streams, and stands for one byte of output at least. What writes more marks plays. */
const MOST_MARKS = 100;

/** What the delivery of a run's output has come to. */
export interface OutputPump {
  /** Ends when the container's output has been delivered, or cut. Rejects with what a receiver threw. */
  readonly done: Promise<void>;
  readonly truncated: { stdout: boolean; stderr: boolean };
  /** Whether a receiver is at work: then the silence is not the engine's. */
  isDelivering(): boolean;
}

/**
 * Delivers the output piece by piece and reads on only when the receiver is done, so that what is held in memory does
 * not depend on what the program writes. At `limitBytes` over both streams it is cut, to the byte, and `onLimit` called.
 */
export function pumpOutput(
  source: AsyncIterable<Uint8Array>,
  limitBytes: number,
  streams: Pick<RunStreams, 'onStdout' | 'onStderr' | 'markBytes'>,
  onLimit: () => void,
): OutputPump {
  const truncated = { stdout: false, stderr: false };
  let delivering = false;
  const deliver = async (): Promise<void> => {
    let used = 0;
    for await (const { stream, data } of demux(source)) {
      for (let rest = data; rest.length > 0;) {
        const marks = Math.min(streams.markBytes?.() ?? 0, MOST_MARKS * limitBytes);
        const part = rest.subarray(0, Math.max(0, limitBytes + marks - used));
        if (part.length === 0) {
          truncated[stream] = true;
          onLimit();
          return;
        }
        [used, rest] = [used + part.length, rest.subarray(part.length)];
        delivering = true;
        await (stream === 'stdout' ? streams.onStdout(part) : streams.onStderr(part));
        delivering = false;
      }
    }
  };
  return { done: deliver(), truncated, isDelivering: () => delivering };
}

/**
 * Sends the head, then the input, then its end to the program, no faster than it reads. Ends quietly when the program
 * stops reading; rejects only when the input itself fails.
 */
export async function pumpInput(
  socket: Duplex,
  head: Uint8Array,
  { stdin, onStdin }: Pick<RunStreams, 'stdin' | 'onStdin'>,
): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    socket.once('close', resolve);
    // The program closed its stdin or is dead: its right.
    socket.on('error', () => resolve());
  });
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (socket.writable && !socket.write(chunk)) {
      await Promise.race([gone, new Promise<void>((resolve) => socket.once('drain', resolve))]);
    }
  };
  const send = async (): Promise<void> => {
    // Head and end in one go.
    if (!stdin) return void (socket.writable && socket.end(head));
    if (head.length > 0) await write(head);
    for await (const chunk of stdin as AsyncIterable<Uint8Array | string>) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      await onStdin(bytes);
      await write(bytes);
      if (!socket.writable) break;
    }
    if (socket.writable) socket.end();
  };
  // A program that ends without reading must not wait for an input that never comes.
  await Promise.race([send(), gone]);
  stdin?.destroy();
}
