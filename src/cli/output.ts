import type { Writable } from 'node:stream';
import pc from 'picocolors';

/** Colours for one stream; all plain when it takes none. */
export type Colors = ReturnType<typeof pc.createColors>;

/** stdout or stderr no longer takes what is written. `EPIPE` is a reader that had enough, and no failure of sjs. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
  readonly code: string;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause });
    this.code = cause.code ?? 'EIO';
  }
}

/** What was asked of the output, by options and environment. */
export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
}

/** A stream that may be a terminal. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Where results and messages go: results to stdout, everything else to stderr. */
export interface Output extends Omit<OutputOptions, 'env'> {
  /** Colours of stdout and of stderr. */
  readonly out: Colors;
  readonly err: Colors;
  /** A result for people: one or more lines on stdout; nothing with `--json`. */
  print(text: string): Promise<void>;
  /** The one JSON document on stdout. */
  printJson(document: unknown): Promise<void>;
  /** One line of newline-delimited JSON. */
  printJsonLine(document: unknown): Promise<void>;
  /** A remark on stderr; nothing with `--quiet`. */
  note(text: string): void;
  /** A line on stderr that is always said. */
  say(text: string): void;
}

/** Makes the output of one command. */
export function createOutput(options: OutputOptions): Output {
  const { json, quiet, verbose, stdout, stderr, env } = options;
  // Failures come back through each write; without a listener node would throw them a second time.
  for (const stream of [stdout, stderr]) {
    stream.on('error', () => undefined);
    unblock(stream);
  }
  return {
    json,
    quiet,
    verbose,
    stdout,
    stderr,
    out: pc.createColors(takesColor(stdout, env)),
    err: pc.createColors(takesColor(stderr, env)),
    print: async (text) => (json ? undefined : write(stdout, `${text}\n`)),
    printJson: (document) => write(stdout, `${JSON.stringify(document, null, 2)}\n`),
    printJsonLine: (document) => write(stdout, `${JSON.stringify(document)}\n`),
    note: (text) => void (quiet ? undefined : stderr.write(`${text}\n`)),
    say: (text) => void stderr.write(`${text}\n`),
  };
}

/**
 * Node writes to a terminal synchronously: one that is stopped (Ctrl-S, a stuck connection) would stop this process, and
 * with it the clock that ends a run. libuv has opened the terminal anew, so that nobody else's writes change.
 */
function unblock(stream: OutputStream): void {
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (isBlocking: boolean) => void } };
  if (stream.isTTY === true) handle?.setBlocking?.(false);
}

/** Writes and waits until the stream has taken it. Throws {@link OutputError}. */
export function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(new OutputError(error)) : resolve()));
  });
}

/** Whether a stream takes colours: NO_COLOR wins, then FORCE_COLOR, then whether it is a terminal. */
export function takesColor(stream: OutputStream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return true;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}
