import type { Writable } from 'node:stream';
import pc from 'picocolors';
import { createWaitLine } from './wait-line.js';
import { isCi } from './workflow-commands.js';

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
  /** From now on it is waited: a terminal shows for how long, until a result is printed or `endWait` is called. */
  beginWait(): void;
  endWait(): void;
}

/** Makes the output of one command. */
export function createOutput(options: OutputOptions): Output {
  const { json, quiet, verbose, stdout, stderr, env } = options;
  // Failures come back through each write; without a listener node would throw them a second time.
  for (const stream of [stdout, stderr]) {
    stream.on('error', () => undefined);
    unblock(stream);
  }
  const err = pc.createColors(takesColor(stderr, env));
  const isShown = stderr.isTTY === true && !quiet && env['TERM'] !== 'dumb' && !isCi(env);
  const waiting = createWaitLine(stderr, err, isShown);
  const result = (text: string): Promise<void> => {
    waiting.stop();
    return write(stdout, `${text}\n`);
  };
  const remark = (text: string): void => {
    waiting.clear();
    stderr.write(`${text}\n`);
  };
  return {
    json,
    quiet,
    verbose,
    stdout,
    stderr,
    out: pc.createColors(takesColor(stdout, env)),
    err,
    print: async (text) => (json ? undefined : result(text)),
    printJson: (document) => result(harmless(JSON.stringify(document, null, 2))),
    printJsonLine: (document) => result(harmless(JSON.stringify(document))),
    note: (text) => (quiet ? undefined : remark(text)),
    say: remark,
    beginWait: () => waiting.start(),
    endWait: () => waiting.stop(),
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

/**
 * JSON that says the same with nothing in it that could steer a terminal or mislead a reader: what stands in it may be
 * anybody's, and JSON itself escapes no C1 control and no bidi character (ATTACKS O04).
 */
function harmless(json: string): string {
  return json.replace(/[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
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
