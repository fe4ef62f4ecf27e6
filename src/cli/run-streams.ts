import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { isatty } from 'node:tty';
import type { Readable } from 'node:stream';
import { SjsError } from '../index.js';
import { write, type Output, type OutputError, type OutputStream } from './output.js';
import { TerminalCleaner } from './terminal.js';

/** Where the bytes of a run go on this side. */
export interface RunSinks {
  readonly onStdout: (chunk: Uint8Array) => Promise<void>;
  readonly onStderr: (chunk: Uint8Array) => Promise<void>;
  /** To be called after the run: writes what was held back. */
  readonly end: () => Promise<void>;
  /** Why stdout or stderr took no more, which ended the run; null when they did not fail. */
  readonly failure: () => OutputError | null;
}

/**
 * Passes a run's output on as it comes: made harmless on a terminal and in a CI log, byte for byte elsewhere and with
 * `--raw`.
 */
export function passOutput(
  output: Output,
  options: { readonly raw: boolean; readonly ci: boolean },
): RunSinks {
  let failure: OutputError | null = null;
  const ends: (() => Promise<void>)[] = [];
  const sink = (stream: OutputStream): ((chunk: Uint8Array) => Promise<void>) => {
    // A CI log is a pipe to us, and acts on commands that stand in it.
    const isShown = stream.isTTY === true || (options.ci && !isRegularFile(stream));
    const cleaner = isShown && !options.raw ? new TerminalCleaner(options) : null;
    const send = async (bytes: Uint8Array): Promise<void> => {
      if (bytes.length === 0) return;
      try {
        await write(stream, bytes);
      } catch (error) {
        failure ??= error as OutputError;
        throw error;
      }
    };
    if (cleaner) ends.push(() => send(cleaner.flush()));
    return (chunk) => send(cleaner ? cleaner.clean(chunk) : chunk);
  };
  return {
    onStdout: sink(output.stdout),
    onStderr: sink(output.stderr),
    end: async () => {
      for (const end of ends) await end();
    },
    failure: () => failure,
  };
}

function isRegularFile(stream: OutputStream): boolean {
  return 'fd' in stream && typeof stream.fd === 'number' && fstatSync(stream.fd).isFile();
}

/** Collects a run's output, for the one document of `--json`. */
export function collectOutput(): Omit<RunSinks, 'end' | 'failure'> & {
  readonly texts: () => Record<string, string>;
} {
  const chunks = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const keep = (list: Uint8Array[]) => (chunk: Uint8Array) => {
    list.push(Uint8Array.from(chunk));
    return Promise.resolve();
  };
  return {
    onStdout: keep(chunks.stdout),
    onStderr: keep(chunks.stderr),
    texts: () => ({
      ...textOf('stdout', Buffer.concat(chunks.stdout)),
      ...textOf('stderr', Buffer.concat(chunks.stderr)),
    }),
  };
}

/** Bytes as text under a name; when they are not UTF-8, exactly as base64 too. */
export function textOf(name: string, bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = buffer.toString('utf8');
  const isExact = Buffer.from(text, 'utf8').equals(buffer);
  return { [name]: text, ...(!isExact && { [`${name}Base64`]: buffer.toString('base64') }) };
}

/** What the program reads from a file. Throws `USAGE` when it cannot be read. */
export async function openInput(file: string): Promise<Readable> {
  try {
    const handle = await open(file);
    if (!(await handle.stat()).isDirectory()) return handle.createReadStream();
    await handle.close();
  } catch (cause) {
    throw new SjsError('USAGE', `--stdin ${file} cannot be read`, {
      cause,
      next: 'name a file that is there',
    });
  }
  throw new SjsError('USAGE', `--stdin ${file} is a folder`, { next: 'name a file' });
}

/** What the program reads: a pipe or a file always, a terminal only when asked for. */
export function openStdin(interactive: boolean): Readable | null {
  if (!interactive && isatty(0)) return null;
  // A stdin that fails or is given up early is the run's matter; here it must not end the process.
  if (process.stdin.listenerCount('error') === 0) process.stdin.on('error', () => undefined);
  return process.stdin;
}
