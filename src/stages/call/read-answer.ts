import type { Answer, AnswerKind } from '../../model/call.js';
import { nonceOf } from './write-request.js';

/** Takes the pieces of an answer out of what a program writes. */
export interface AnswerReader {
  /** What of this piece of stdout is the program's own output. */
  readonly stdout: (chunk: Uint8Array) => readonly Uint8Array[];
  readonly stderr: (chunk: Uint8Array) => readonly Uint8Array[];
  /** What was held back and turned out to be output after all. To be called when nothing more comes. */
  readonly end: () => { readonly stdout: Uint8Array; readonly stderr: Uint8Array };
  /** Fulfilled with the answer when both streams have said that nothing follows; never without one. */
  readonly answered: Promise<Answer>;
  /** The answer as far as it came: one that stderr did not confirm counts too, once the program has ended. */
  readonly answer: Answer | null;
}

const KINDS: Readonly<Record<string, AnswerKind>> = { v: 'value', u: 'undefined', x: 'error' };
const NOTHING = new Uint8Array();

/**
 * Reads the answer of one run. Nothing in it is believed but that it came: whatever does not begin with the nonce is
 * output, what follows the answer is nobody's.
 */
export function readAnswer(runId: string): AnswerReader {
  const marker = Buffer.from(`\0sjs${nonceOf(runId)}`);
  const parts: Uint8Array[] = [];
  let answer: Answer | null = null;
  let hasEnded = false;
  let resolve: (answer: Answer) => void = () => undefined;
  const answered = new Promise<Answer>((fulfil) => (resolve = fulfil));
  const settle = (): void => {
    if (answer && hasEnded) resolve(answer);
  };
  const stdout = split(marker, (type, payload) => {
    parts.push(payload);
    const kind = KINDS[type];
    if (kind === undefined) return false;
    answer = { kind, json: Buffer.concat(parts) };
    settle();
    return true;
  });
  const stderr = split(marker, (type) => {
    hasEnded ||= type === 'e';
    settle();
    return hasEnded;
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

/** Letter, and length in four hex digits. */
const HEAD_BYTES = 5;

/** @param onPiece gets each piece with its letter; true: nothing that follows is passed on */
function split(marker: Uint8Array, onPiece: (type: string, payload: Uint8Array) => boolean) {
  let held: Buffer = Buffer.alloc(0);
  let isOver = false;
  const read = (chunk: Uint8Array): Uint8Array[] => {
    if (isOver) return [];
    const output: Uint8Array[] = [];
    held = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
    for (;;) {
      const at = held.indexOf(marker);
      if (at === -1) {
        const kept = beginningAtEnd(held, marker);
        output.push(held.subarray(0, held.length - kept));
        held = held.subarray(held.length - kept);
        break;
      }
      output.push(held.subarray(0, at));
      held = held.subarray(at);
      const body = marker.length + HEAD_BYTES;
      if (held.length < body) break;
      const length = Number.parseInt(held.toString('latin1', marker.length + 1, body), 16) || 0;
      if (held.length < body + length) break;
      const type = String.fromCharCode(held[marker.length] ?? 0);
      isOver = onPiece(type, Buffer.from(held.subarray(body, body + length)));
      held = isOver ? Buffer.alloc(0) : held.subarray(body + length);
      if (isOver) break;
    }
    return output.filter((piece) => piece.length > 0);
  };
  const rest = (): Uint8Array => {
    const left = isOver ? NOTHING : held;
    isOver = true;
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
