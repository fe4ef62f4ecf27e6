import { ANSWER_BYTES, type Answer, type AnswerKind } from '../../model/call.js';
import { formatBytes } from '../../model/quantity.js';
import { nonceOf } from './write-request.js';

/** Takes the pieces of an answer out of what a program writes. */
export interface AnswerReader {
  /** What of this piece of stdout is the program's own output. */
  readonly stdout: (chunk: Uint8Array) => readonly Uint8Array[];
  readonly stderr: (chunk: Uint8Array) => readonly Uint8Array[];
  /** What was held back and turned out to be output after all. To be called once, when nothing more comes. */
  readonly end: () => { readonly stdout: Uint8Array; readonly stderr: Uint8Array };
  /** Fulfilled with the answer when both streams have said that nothing follows; never without one. */
  readonly answered: Promise<Answer>;
  /** The answer that came, if one did; stderr need not have confirmed it. */
  readonly answer: Answer | null;
}

export const KINDS: Readonly<Record<string, AnswerKind>> = { v: 'value', u: 'undefined', x: 'error' };
const NOTHING = Buffer.alloc(0);

/**
 * Reads the answer of one run. Nothing in it is believed but that it came: whatever does not begin with the nonce is
 * output, what follows the answer is nobody's.
 */
export function readAnswer(runId: string): AnswerReader {
  const marker = Buffer.from(`\0sjs${nonceOf(runId)}`);
  const json = answerBytes();
  let answer: Answer | null = null;
  let hasEnded = false;
  let resolve: (answer: Answer) => void = () => undefined;
  const answered = new Promise<Answer>((fulfil) => (resolve = fulfil));
  const settle = (): void => {
    if (answer && hasEnded) resolve(answer);
  };
  const stdout = collect(marker, 'pvux', (type, payload) => {
    json.append(payload);
    const kind = KINDS[type];
    if (kind === undefined) return false;
    answer = json.answer(kind);
    settle();
    return true;
  });
  const stderr = collect(marker, 'e', () => {
    hasEnded = true;
    settle();
    return true;
  });
  return {
    stdout: stdout.read,
    stderr: stderr.read,
    end: () => ({ stdout: stdout.rest(), stderr: stderr.rest() }),
    answered,
    get answer() {
      return answer;
    },
  };
}

/** Takes the pieces out of one stream, and gives back what else is in each chunk of it. */
function collect(marker: Uint8Array, letters: string, onPiece: OnPiece) {
  let output: Uint8Array[] = [];
  const { read, rest } = split(marker, letters, onPiece, (data) => output.push(data));
  return {
    rest,
    read: (chunk: Uint8Array): readonly Uint8Array[] => {
      output = [];
      read(chunk);
      return output;
    },
  };
}

/** Bytes that come in any pieces: what is held for them is at most twice as much, however small these are. */
export function growingBytes() {
  let buffer = NOTHING;
  let used = 0;
  return {
    append(piece: Uint8Array): void {
      if (used + piece.length > buffer.length) {
        buffer = Buffer.concat([buffer.subarray(0, used)], Math.max(buffer.length, used + piece.length) * 2);
      }
      buffer.set(piece, used);
      used += piece.length;
    },
    bytes: (): Buffer => buffer.subarray(0, used),
  };
}

/** Collects an answer; of one that is too large nothing is kept, and an error says so. */
export function answerBytes() {
  const json = growingBytes();
  let isTooLarge = false;
  return {
    append(payload: Uint8Array): void {
      isTooLarge ||= json.bytes().length + payload.length > ANSWER_BYTES;
      if (!isTooLarge) json.append(payload);
    },
    answer: (kind: AnswerKind): Answer => (isTooLarge ? TOO_LARGE : { kind, json: json.bytes() }),
  };
}

const TOO_LARGE: Answer = {
  kind: 'error',
  json: Buffer.from(
    JSON.stringify({
      name: 'ResultError',
      message: `the result has more than the ${formatBytes(ANSWER_BYTES)} that a call can give; write it to /out`,
      stack: '',
    }),
  ),
};

/** Letter, and length in four hex digits. */
export const HEAD_BYTES = 5;

/** Gets each piece with its letter; true: nothing that follows is passed on. */
type OnPiece = (type: string, payload: Uint8Array) => boolean;

/**
 * Takes the pieces out of one stream, in time that is linear in what comes.
 * @param letters those that pieces of this stream have
 * @param onOutput gets what else there is, in its place between the pieces
 */
export function split(
  marker: Uint8Array,
  letters: string,
  onPiece: OnPiece,
  onOutput: (data: Uint8Array) => void,
) {
  /** What is not yet known to be output or a piece: less than a marker and its head. */
  let held: Buffer = NOTHING;
  /** The piece that is being read. */
  let piece: { readonly type: string; readonly payload: Buffer; filled: number } | null = null;
  let isOver = false;
  const finish = (type: string, payload: Uint8Array): void => {
    piece = null;
    isOver = onPiece(type, payload);
  };
  const pass = (data: Uint8Array): void => {
    if (data.length > 0) onOutput(data);
  };
  const read = (chunk: Uint8Array): void => {
    let left = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (left.length > 0 && !isOver) {
      if (piece) {
        const copied = left.copy(piece.payload, piece.filled);
        piece.filled += copied;
        left = left.subarray(copied);
        if (piece.filled === piece.payload.length) finish(piece.type, piece.payload);
        continue;
      }
      if (held.length > 0) left = Buffer.concat([held, left]);
      held = NOTHING;
      const at = left.indexOf(marker);
      if (at === -1) {
        const kept = beginningAtEnd(left, marker);
        pass(left.subarray(0, left.length - kept));
        held = Buffer.from(left.subarray(left.length - kept));
        break;
      }
      pass(left.subarray(0, at));
      left = left.subarray(at);
      const body = marker.length + HEAD_BYTES;
      if (left.length < body) {
        held = Buffer.from(left);
        break;
      }
      const head = left.toString('latin1', marker.length, body);
      if (!letters.includes(head.charAt(0)) || !/^[0-9a-f]{4}$/.test(head.slice(1))) {
        // Not what sjs writes: the program has seen the nonce, and plays.
        pass(left.subarray(0, marker.length));
        left = left.subarray(marker.length);
        continue;
      }
      const length = Number.parseInt(head.slice(1), 16);
      left = left.subarray(body);
      piece = { type: head.charAt(0), payload: Buffer.alloc(length), filled: 0 };
      if (length === 0) finish(piece.type, piece.payload);
    }
  };
  // A piece that was cut belongs to an answer: it is never output, where its nonce would make two runs differ.
  const rest = (): Uint8Array => {
    const left = isOver || held.length >= marker.length ? NOTHING : held;
    [held, isOver] = [NOTHING, true];
    return left;
  };
  return { read, rest };
}

/** How many bytes at the end could be the beginning of the marker. */
function beginningAtEnd(bytes: Buffer, marker: Uint8Array): number {
  const from = Math.max(0, bytes.length - marker.length + 1);
  for (let at = bytes.indexOf(0, from); at !== -1; at = bytes.indexOf(0, at + 1)) {
    const tail = bytes.subarray(at);
    if (tail.equals(marker.subarray(0, tail.length))) return tail.length;
  }
  return 0;
}
