import { writeSync } from 'node:fs';
import { describeError } from './describe-error.js';

/** Pipes take so much in one piece, whoever else writes to them (PIPE_BUF). */
const PIECE_BYTES = 4096;

/** How the call ends; the first word counts, and ends the process. */
export interface Answer {
  value(json: string): void;
  undefined(): void;
  threw(error: unknown): void;
}

// As they are before the program can change them.
const stringify = JSON.stringify.bind(JSON);
const concat = Buffer.concat.bind(Buffer);
const from = Buffer.from.bind(Buffer) as (text: string) => Buffer;
const { reallyExit } = process as unknown as { reallyExit: (code: number) => never };
const exit = reallyExit.bind(process);
const put = writeSync;
const pause = new Int32Array(new SharedArrayBuffer(4));
const wait = Atomics.wait.bind(Atomics);

/**
 * Answers between the program's own output: in pieces that begin with the nonce, which the program is not told.
 * `p` is a part, `v` the last part of a value, `u` stands for undefined, `x` is the last part of what was thrown; `e` says
 * on stderr that nothing follows.
 */
export function createAnswer(nonce: string): Answer {
  const { send } = createPieces(nonce);
  const end = (type: string, text: string, code: number): never => {
    try {
      send(2, 'e', new Uint8Array());
    } catch {
      // The program closed stderr, which is its right: its end says the same.
    }
    send(1, type, from(text));
    return exit(code);
  };
  return {
    value: (json) => end('v', json, 0),
    undefined: () => end('u', '', 0),
    threw: (error) => end('x', stringify(describeError(error)), 1),
  };
}

/** Writes pieces that begin with the nonce. */
export function createPieces(nonce: string): {
  send: (fd: number, type: string, payload: Uint8Array) => void;
} {
  const header = (kind: string, length: number): string =>
    `\0sjs${nonce}${kind}${length.toString(16).padStart(4, '0')}`;
  return {
    send(fd, type, payload) {
      const room = PIECE_BYTES - header(type, 0).length;
      let at = 0;
      do {
        const part = payload.subarray(at, at + room);
        at += part.length;
        write(fd, concat([from(header(at < payload.length ? 'p' : type, part.length)), part]));
      } while (at < payload.length);
    },
  };
}

function write(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += put(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      wait(pause, 0, 0, 1);
    }
  }
}
