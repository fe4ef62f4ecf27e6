import { readSync } from 'node:fs';

/** What is asked of the program. */
export type Request =
  | { readonly kind: 'call'; readonly nonce: string; readonly export: string; readonly args: unknown[] }
  | { readonly kind: 'run'; readonly args: string[] };

/** Reads it, and not one byte more: what follows is the program's. */
export function readRequest(): Request {
  const head = JSON.parse(readText(readExactly(4).readUInt32BE(0))) as Request & { readonly bytes: number };
  if (head.kind === 'run') return head;
  return { ...head, args: JSON.parse(readText(head.bytes)) as unknown[] };
}

const readText = (length: number): string => readExactly(length).toString('utf8');

function readExactly(length: number): Buffer {
  const data = Buffer.alloc(length);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let filled = 0;
  while (filled < length) {
    try {
      const read = readSync(0, data, filled, length - filled, null);
      // Nobody wants anything: a member of a pool that is not needed any more.
      if (read === 0) process.exit(0);
      filled += read;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 2);
    }
  }
  return data;
}
