import type { Readable } from 'node:stream';
import { SjsError } from '../../errors.js';
import { isDigest, type Digest } from '../../model/digest.js';
import { fieldsOf } from '../../model/fields.js';
import { textOf } from './answer.js';
import { cleanWords } from './engine-error.js';

type ProgressMessage = Readonly<Record<string, unknown>>;

/** Progress of a few hundred lines is normal; a stream beyond this is broken or hostile. */
const MOST_BYTES = 64 * 1024 ** 2;

/**
 * Reads a BuildKit answer to its end and returns the image's id. docker-modem's own follower calls back without an
 * error for a stream that breaks off, so every line is read here.
 * @throws SjsError `BUILD_FAILED`.
 */
export async function readBuild(stream: Readable, onProgress: (message: string) => void): Promise<string> {
  let imageId: unknown;
  await readMessages(stream, 'BUILD_FAILED', 'the build', (message) => {
    const words = textOf(message['stream']);
    if (message['id'] === 'moby.image.id') imageId = fieldsOf(message['aux'])['ID'];
    else if (words) onProgress(words.trimEnd());
  });
  if (!isDigest(imageId)) {
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
    const status = textOf(message['status']);
    if (status !== null) onProgress([textOf(message['id']), status].filter(Boolean).join(': '));
  });
}

/**
 * Reads a push's answer to its end; the digest that the engine says the registry has.
 * @throws SjsError `PUSH_FAILED` with the engine's words.
 */
export async function readPush(
  stream: Readable,
  name: string,
  onProgress: (message: string) => void,
): Promise<Digest> {
  let pushed: unknown;
  // A layer that is on its way says so many times a second.
  const said = new Map<string | null, string>();
  await readMessages(stream, 'PUSH_FAILED', `pushing ${name}`, (message) => {
    const [layer, status] = [textOf(message['id']), textOf(message['status'])];
    const aux = fieldsOf(message['aux']);
    if (aux['Digest'] !== undefined) pushed = aux['Digest'];
    if (status === null || said.get(layer) === status) return;
    said.set(layer, status);
    onProgress([layer, status].filter(Boolean).join(': '));
  });
  if (isDigest(pushed)) return pushed;
  throw new SjsError('PUSH_FAILED', `pushing ${name} ended without a digest`, {
    next: 'push again; if it stays so, docker push says what the engine lacks',
  });
}

/** Reads the answer to a load to its end. `ENGINE_FAILED` for an error in it, and for one that breaks off. */
export async function readLoad(stream: Readable): Promise<void> {
  await readMessages(stream, 'ENGINE_FAILED', 'loading the image', () => undefined);
}

async function readMessages(
  stream: Readable,
  code: 'BUILD_FAILED' | 'ENGINE_FAILED' | 'PUSH_FAILED',
  what: string,
  onMessage: (message: ProgressMessage) => void,
): Promise<void> {
  const fail = (why: string, cause?: unknown): SjsError =>
    new SjsError(code, `${what} failed: ${why}`, { cause, next: 'see what the engine says with --verbose' });
  // The pieces of a line whose end has not come: joined once, however small the chunks.
  let rest: string[] = [];
  let bytes = 0;
  const take = (line: string): void => {
    if (line.trim() === '') return;
    let message: ProgressMessage;
    try {
      message = fieldsOf(JSON.parse(line));
    } catch (cause) {
      throw fail('the engine answered something that is not JSON', cause);
    }
    const { error, errorDetail } = message;
    if ((error ?? errorDetail ?? null) !== null)
      throw fail(
        cleanWords(textOf(fieldsOf(errorDetail)['message']) ?? textOf(error) ?? 'it does not say why'),
      );
    onMessage(message);
  };
  try {
    const decoder = new TextDecoder();
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) throw fail('the engine printed more than 64 MiB of progress');
      const [first = '', ...lines] = decoder.decode(chunk, { stream: true }).split('\n');
      rest.push(first);
      for (const line of lines) {
        take(rest.join(''));
        rest = [line];
      }
    }
    take(rest.join(''));
  } catch (error) {
    stream.destroy();
    if (error instanceof SjsError) throw error;
    throw fail('the connection to the engine broke off', error);
  }
}
