import { writeSync } from 'node:fs';

/** Pipes take so much in one piece, whoever else writes to them (PIPE_BUF). */
const PIECE_BYTES = 4096;
const MOST_TEXT = 64 * 1024;

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
const pause = new Int32Array(new SharedArrayBuffer(4));
const wait = Atomics.wait.bind(Atomics);

/**
 * Answers between the program's own output: in pieces that begin with the nonce, which the program is not told.
 * `p` is a part, `v` the last part of a value, `u` stands for undefined, `x` is the last part of what was thrown; `e` says
 * on stderr that nothing follows.
 */
export function createAnswer(nonce: string): Answer {
  const send = (fd: number, type: string, payload: Uint8Array): void => {
    const header = (kind: string, length: number): string =>
      `\0sjs${nonce}${kind}${length.toString(16).padStart(4, '0')}`;
    const room = PIECE_BYTES - header(type, 0).length;
    let at = 0;
    do {
      const part = payload.subarray(at, at + room);
      at += part.length;
      write(fd, concat([from(header(at < payload.length ? 'p' : type, part.length)), part]));
    } while (at < payload.length);
  };
  const end = (type: string, text: string, code: number): never => {
    send(2, 'e', new Uint8Array());
    send(1, type, from(text));
    return exit(code);
  };
  return {
    value: (json) => end('v', json, 0),
    undefined: () => end('u', '', 0),
    threw: (error) => end('x', stringify(describeError(error)), 1),
  };
}

function write(fd: number, bytes: Uint8Array): void {
  for (;;) {
    try {
      writeSync(fd, bytes);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      wait(pause, 0, 0, 1);
    }
  }
}

/** Anything can be thrown, and reading it can throw too. */
function describeError(error: unknown): { name: string; message: string; stack: string } {
  const isObject = (typeof error === 'object' || typeof error === 'function') && error !== null;
  const read = (key: 'name' | 'message' | 'stack'): string => {
    try {
      const value: unknown = (error as Record<string, unknown>)[key];
      return typeof value === 'string' ? value.slice(0, MOST_TEXT) : '';
    } catch {
      return '';
    }
  };
  if (!isObject) return { name: '', message: textOf(error), stack: '' };
  return { name: read('name'), message: read('message') || textOf(error), stack: ownLines(read('stack')) };
}

function textOf(value: unknown): string {
  try {
    return String(value).slice(0, MOST_TEXT);
  } catch {
    return '';
  }
}

/** Without the lines of Node and of this program. */
const ownLines = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => !/^\s+at .*(?:\/\.sjs\/|node:)/.test(line))
    .join('\n')
    .replaceAll('file:///app/', '/app/');
