import type { Running } from './api.js';
import type { OutputPiece } from './flows/follow-run.js';
import type { RunOutput } from './flows/execute-run.js';

type Receivers = Pick<RunOutput, 'onStdout' | 'onStderr'>;
type Receive = (piece: OutputPiece) => Promise<void>;

/**
 * Begins something, and lets its output be read while it is under way: as fast as whoever reads it, as fast as the slowest
 * when there are several. Who stops reading ends nothing. What came before anybody read is kept for the first who does; its
 * limit on output bounds it.
 * @param given receivers that the output goes to as well: then nothing is kept
 */
export function startRunning<T>(
  given: Partial<Receivers>,
  start: (output: Receivers) => Promise<T>,
): Running<T> {
  const receivers = new Set<Receive>();
  let kept: OutputPiece[] | null = given.onStdout || given.onStderr ? null : [];
  const pass = (stream: OutputPiece['stream'], own: Receive | undefined): Receivers['onStdout'] => {
    return async (data) => {
      const piece = { stream, data, isBacklog: false };
      // What it is a part of may be larger.
      kept?.push({ ...piece, data: Uint8Array.from(data) });
      await Promise.all([own?.(piece), ...[...receivers].map((receive) => receive(piece))]);
    };
  };
  const { onStdout, onStderr } = given;
  const ending = start({
    onStdout: pass('stdout', onStdout && (async ({ data }) => onStdout(data))),
    onStderr: pass('stderr', onStderr && (async ({ data }) => onStderr(data))),
  });
  const read = (): AsyncGenerator<OutputPiece> => {
    const before = kept ?? [];
    kept = null;
    return readPieces(ending, receivers, before);
  };
  return Object.assign(ending, { [Symbol.asyncIterator]: read });
}

/** What was written before, and what is from now on until it ends; throws what it fails with. */
function readPieces(
  ending: Promise<unknown>,
  receivers: Set<Receive>,
  before: readonly OutputPiece[],
): AsyncGenerator<OutputPiece> {
  const waiting: { readonly piece: OutputPiece; readonly taken: () => void }[] = before.map((piece) => ({
    piece: { ...piece, isBacklog: true },
    taken: () => undefined,
  }));
  let wake = (): void => undefined;
  let isOver = false;
  const receive: Receive = (piece) =>
    new Promise((taken) => {
      waiting.push({ piece, taken });
      wake();
    });
  receivers.add(receive);
  const end = (): void => {
    isOver = true;
    wake();
  };
  ending.then(end, end);
  const read = async function* (): AsyncGenerator<OutputPiece> {
    try {
      for (;;) {
        const next = waiting[0];
        if (next) {
          yield next.piece;
          waiting.shift();
          next.taken();
        } else if (isOver) {
          return void (await ending);
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      receivers.delete(receive);
      for (const { taken } of waiting) taken();
    }
  };
  return read();
}
