import type { Answer } from '../../model/call.js';
import { answerBytes, growingBytes, HEAD_BYTES, KINDS, readAnswer, split } from './read-answer.js';
import { nonceOf } from './write-request.js';

/** A piece of a program's own output. */
export interface ReadPiece {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Uint8Array;
}

/** Takes what sjs's runner says out of what a program writes. */
export interface OutputReader {
  /** What this chunk lets pass, in the order in which it was written, as far as that is known. */
  readonly read: (stream: ReadPiece['stream'], chunk: Uint8Array) => readonly ReadPiece[];
  /** What was held back. To be called once, when nothing more comes. */
  readonly end: () => readonly ReadPiece[];
  /** Fulfilled when nothing counts any more that the program does; absent where it has to end itself. */
  readonly answered?: Promise<Answer>;
  /** What it answered or gave back, if it did. */
  readonly answer: Answer | null;
  /** How much of what came are marks of sjs's own; absent where there are none. */
  readonly markBytes?: () => number;
}

/** What reads the output of a run; null when sjs's runner says nothing in it. */
export function readerOf(
  id: string,
  run: { readonly call?: unknown; readonly code?: unknown },
): OutputReader | null {
  return run.call ? readCall(id) : run.code ? readGiven(id) : null;
}

/** Reads the output of a call. */
function readCall(runId: string): OutputReader {
  const reader = readAnswer(runId);
  return {
    read: (stream, chunk) => reader[stream](chunk).map((data) => ({ stream, data })),
    end() {
      const left = reader.end();
      return STREAMS.map((stream) => ({ stream, data: left[stream] })).filter(({ data }) => data.length > 0);
    },
    answered: reader.answered,
    get answer() {
      return reader.answer;
    },
  };
}

const STREAMS = ['stdout', 'stderr'] as const;

/**
 * Reads the output of code that came with its run. Marks in both streams say what was written first: behind the nth mark of
 * one, nothing passes that the nth mark of the other is not there for. A program that writes marks itself can delay its own
 * output, until that is more than is held; then nothing is ordered any more. What it gave back may be followed by output.
 */
export function readGiven(runId: string): OutputReader {
  const marker = Buffer.from(`\0sjs${nonceOf(runId)}`);
  const json = answerBytes();
  let markBytes = 0;
  const marks = { stdout: 0, stderr: 0 };
  const held: Record<ReadPiece['stream'], Held[]> = { stdout: [], stderr: [] };
  let heldBytes = 0;
  let isOrdered = true;
  const hold = (stream: ReadPiece['stream'], data: Uint8Array): void => {
    heldBytes += data.length;
    const last = held[stream].at(-1);
    if (last?.mark === marks[stream]) return last.bytes.append(data);
    const bytes = growingBytes();
    bytes.append(data);
    held[stream].push({ stream, mark: marks[stream], bytes });
  };
  let answer: Answer | null = null;
  const splitters = Object.fromEntries(
    STREAMS.map((stream) => [
      stream,
      split(
        marker,
        'opvx',
        (type, payload) => {
          if (type === 'o') {
            marks[stream] += 1;
            markBytes += marker.length + HEAD_BYTES + payload.length;
          } else if (answer === null) {
            json.append(payload);
            const kind = KINDS[type];
            if (kind !== undefined) answer = json.answer(kind);
          }
          return false;
        },
        (data) => hold(stream, data),
      ),
    ]),
  ) as Record<ReadPiece['stream'], ReturnType<typeof split>>;
  const release = (reached: number): ReadPiece[] => {
    const [out, err] = STREAMS.map((stream) => {
      const index = held[stream].findIndex(({ mark }) => mark > reached);
      return held[stream].splice(0, index === -1 ? held[stream].length : index);
    }) as [Held[], Held[]];
    const released = [...out, ...err]
      .sort((a, b) => a.mark - b.mark)
      .map(({ stream, bytes }) => ({ stream, data: bytes.bytes() }));
    for (const { data } of released) heldBytes -= data.length;
    return released;
  };
  return {
    read(stream, chunk) {
      splitters[stream].read(chunk);
      const released = isOrdered ? release(Math.min(marks.stdout, marks.stderr)) : [];
      isOrdered &&= heldBytes <= MOST_HELD_BYTES && held.stdout.length + held.stderr.length <= MOST_HELD;
      return isOrdered ? released : [...released, ...release(Infinity)];
    },
    end() {
      for (const stream of STREAMS) {
        const data = splitters[stream].rest();
        if (data.length > 0) hold(stream, data);
      }
      return release(Infinity);
    },
    get answer() {
      return answer;
    },
    markBytes: () => markBytes,
  };
}

/** So much of one stream may wait for the other: pipes hold less. */
const MOST_HELD_BYTES = 1024 ** 2;
const MOST_HELD = 4096;

/** What was written between two marks: as one, however many pieces it came in. */
interface Held {
  readonly stream: ReadPiece['stream'];
  readonly mark: number;
  readonly bytes: ReturnType<typeof growingBytes>;
}
