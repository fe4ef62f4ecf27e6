import type { Readable } from 'node:stream';
import { SjsError } from '../../errors.js';
import { cleanWords } from './engine-error.js';

/** One line of the engine's progress. */
interface ProgressMessage {
  readonly id?: string;
  readonly status?: string;
  readonly stream?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string };
  readonly aux?: unknown;
}

/** Progress of a few hundred lines is normal; a stream beyond this is broken or hostile. */
const MOST_BYTES = 64 * 1024 ** 2;

/**
 * Reads a BuildKit answer to its end and returns the image's id. docker-modem's own follower calls back without an
 * error for a stream that breaks off, so every line is read here.
 * @throws SjsError `BUILD_FAILED`.
 */
export async function readBuild(stream: Readable, onProgress: (message: string) => void): Promise<string> {
  let imageId: string | undefined;
  await readMessages(stream, 'BUILD_FAILED', 'the build', (message) => {
    if (message.id === 'moby.image.id') imageId = (message.aux as { ID?: string } | undefined)?.ID;
    else if (message.stream) onProgress(message.stream.trimEnd());
  });
  if (imageId === undefined || !/^sha256:[0-9a-f]{64}$/.test(imageId)) {
    throw new SjsError('BUILD_FAILED', 'the build ended without an image', {
      next: 'build again; if it stays so, sjs doctor says what the engine lacks',
    });
  }
  return imageId;
}

/**
 * Reads a pull's answer to its end.
 * @throws SjsError `ENGINE_FAILED` with the engine's words.
 */
export async function readPull(
  stream: Readable,
  name: string,
  onProgress: (message: string) => void,
): Promise<void> {
  await readMessages(stream, 'ENGINE_FAILED', `pulling ${name}`, (message) => {
    if (message.status !== undefined) onProgress([message.id, message.status].filter(Boolean).join(': '));
  });
}

async function readMessages(
  stream: Readable,
  code: 'BUILD_FAILED' | 'ENGINE_FAILED',
  what: string,
  onMessage: (message: ProgressMessage) => void,
): Promise<void> {
  const fail = (why: string, cause?: unknown): SjsError =>
    new SjsError(code, `${what} failed: ${why}`, { cause, next: 'see what the engine says with --verbose' });
  let rest = '';
  let bytes = 0;
  const take = (line: string): void => {
    if (line.trim() === '') return;
    let message: ProgressMessage;
    try {
      message = JSON.parse(line) as ProgressMessage;
    } catch (cause) {
      throw fail('the engine answered something that is not JSON', cause);
    }
    const error = message.errorDetail?.message ?? message.error;
    if (error !== undefined) throw fail(cleanWords(error));
    onMessage(message);
  };
  try {
    const decoder = new TextDecoder();
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) throw fail('the engine printed more than 64 MiB of progress');
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    }
    take(rest);
  } catch (error) {
    stream.destroy();
    if (error instanceof SjsError) throw error;
    throw fail('the connection to the engine broke off', error);
  }
}
