import { readSync } from 'node:fs';

/** What is asked of the program. */
export type Request =
  | { readonly kind: 'call'; readonly nonce: string; readonly export: string; readonly args: unknown[] }
  | { readonly kind: 'run'; readonly args: string[] }
  | { readonly kind: 'code'; readonly nonce: string; readonly code: string; readonly data?: unknown };

/** Reads it, and not one byte more: what follows is the program's. Code takes all there is. */
export function readRequest(): Request {
  const head = JSON.parse(readText(readExactly(4).readUInt32BE(0))) as Request & { readonly bytes: number };
  if (head.kind === 'run') return head;
  if (head.kind === 'code') return { ...(JSON.parse(readAll()) as { code: string }), ...head };
  return { ...head, args: JSON.parse(readText(head.bytes)) as unknown[] };
}

const readText = (length: number): string => readExactly(length).toString('utf8');

function readExactly(length: number): Buffer {
  const data = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const read = readSome(data, filled);
    // Nobody wants anything: a member of a pool that is not needed any more.
    if (read === 0) process.exit(0);
    filled += read;
  }
  return data;
}

function readAll(): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(64 * 1024);
    const read = readSome(chunk, 0);
    if (read === 0) return Buffer.concat(chunks).toString('utf8');
    chunks.push(chunk.subarray(0, read));
  }
}

/** Waits until there is something; 0 at the end. */
function readSome(data: Buffer, at: number): number {
  for (;;) {
    try {
      return readSync(0, data, at, data.length - at, null);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}
