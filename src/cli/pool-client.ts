import type { Socket } from 'node:net';
import { SjsError, type CallResult, type RunOptions, type RunRecord, type RunSignals } from '../index.js';
import { errorOfDocument } from './error-report.js';
import { connectTo, digitsOf, listSockets, type PoolSocket } from './pool-folder.js';
import { createRoom, encodeFrame, PROTOCOL, readFrames, type Frame, type FrameType } from './pool-frames.js';
import type { PoolScene } from './pool-scene.js';
import type { Hello, HelloAnswer, PoolAsked, PoolReport } from './pool-server.js';

/** A pool that does not answer for so long is not waited for. */
const ANSWER_MS = 5000;

/** A connection to the process of a pool. */
interface Connection {
  readonly socket: Socket;
  readonly frames: AsyncGenerator<Frame, undefined>;
  readonly send: (type: FrameType, body?: Uint8Array | string) => void;
}

/** The pool of a target, ready to be asked; or why there is none. */
export type FoundPool =
  | { readonly connection: Connection; readonly why: null }
  | { readonly connection: null; readonly why: string | null };

/**
 * Looks for the pool of the seal that a target means. Which that is says the first pool that answers: the index is the
 * same for all of this SJS_HOME.
 * @throws SjsError `STORE_FAILED` when somebody else could answer
 */
export async function findPool(home: string, target: string, scene: PoolScene): Promise<FoundPool> {
  const hello: Hello = { protocol: PROTOCOL, scene, target };
  const wanted = /([0-9a-f]{12})$/.exec(target)?.[1];
  const waiting = [...listSockets(home, wanted)];
  let why: string | null = null;
  for (let found = waiting.shift(); found; found = waiting.shift()) {
    const connection = await connect(found);
    if (!connection) continue;
    connection.send('hello', JSON.stringify(hello));
    const answer = (await readAnswer(connection)) as HelloAnswer | null;
    if (answer?.isHere && answer.why === null) return { connection, why: null };
    connection.socket.destroy();
    if (answer?.why != null && (answer.isHere || answer.tag === null)) why = answer.why;
    if (answer === null) why = `its process ${found.pid} does not answer`;
    if (answer?.tag == null) continue;
    // It has said whose pool it is to be.
    const other = answer.isHere
      ? []
      : waiting.filter(({ digits }) => digits === digitsOf(answer.tag as string));
    waiting.splice(0, Infinity, ...other);
    if (other.length > 0) why = null;
  }
  return { connection: null, why };
}

/** What each pool of this SJS_HOME says of itself; null where a process does not answer. */
export async function listPools(
  home: string,
): Promise<readonly { readonly socket: PoolSocket; readonly report: PoolReport | null }[]> {
  const pools = await Promise.all(
    listSockets(home).map(async (socket) => {
      const connection = await connect(socket);
      if (!connection) return [];
      connection.send('status');
      const report = (await readAnswer(connection)) as PoolReport | null;
      connection.socket.destroy();
      return [{ socket, report }];
    }),
  );
  return pools.flat();
}

/** Ends a pool, and waits until nothing is left of it. */
export async function stopPool(found: PoolSocket): Promise<void> {
  const connection = await connect(found);
  if (!connection) return;
  connection.send('stop');
  // Its end is as good an answer.
  await connection.frames.next();
  connection.socket.destroy();
}

async function connect(found: PoolSocket): Promise<Connection | null> {
  const socket = await connectTo(found);
  if (!socket) return null;
  return {
    socket,
    frames: readFrames(readToBreak(socket)),
    send: (type, body) => void (socket.writable && socket.write(encodeFrame(type, body))),
  };
}

/** A connection that breaks is one that ended. */
async function* readToBreak(socket: Socket): AsyncGenerator<Buffer> {
  try {
    yield* socket as AsyncIterable<Buffer>;
  } catch {
    // As above.
  }
}

async function readAnswer({ socket, frames }: Connection): Promise<unknown> {
  const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
  try {
    const { value } = await frames.next();
    return value?.type === 'answer' ? JSON.parse(value.body.toString()) : null;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Has a pool run or call, as {@link Sjs.run} and {@link Sjs.call} do.
 * @throws SjsError as those; `POOL_CLOSED` when the process of the pool is gone
 */
export async function askPool(
  { socket, frames, send }: Connection,
  asked: PoolAsked,
  args: Uint8Array | null,
  given: Pick<RunOptions, 'stdin' | 'onStdout' | 'onStderr' | 'onStarted' | 'signals'>,
): Promise<RunRecord | CallResult> {
  const room = createRoom();
  const receiver = deliverTo(given, send);
  if (args) send('args', args);
  send(args ? 'call' : 'run', JSON.stringify(asked));
  const unlisten = passSignals(given.signals, send);
  if (given.stdin) void sendInput(given.stdin, room.send, send);
  try {
    for await (const { type, body } of frames) {
      if (type === 'took') room.took(Number(body));
      if (type === 'started') given.onStarted?.(body.toString());
      if (type === 'stdout' || type === 'stderr') receiver.take(type, body);
      if (type === 'failed' || type === 'done') {
        const document: unknown = JSON.parse(body.toString());
        if (type === 'failed' && !receiver.failure()) throw errorOfDocument(document);
        await receiver.delivered();
        return document as RunRecord | CallResult;
      }
    }
  } finally {
    unlisten();
    room.close();
    socket.destroy();
  }
  throw new SjsError('POOL_CLOSED', 'the process of the pool ended before the run did', {
    next: 'sjs runs says what became of it; sjs pool start starts another one',
  });
}

/** Passes output on in its order. When nobody takes it any more, the run is ended, as without a pool. */
function deliverTo(
  { onStdout, onStderr }: Pick<RunOptions, 'onStdout' | 'onStderr'>,
  send: Connection['send'],
) {
  let failure: { readonly error: unknown } | null = null;
  let last: Promise<void> = Promise.resolve();
  return {
    take(type: 'stdout' | 'stderr', body: Uint8Array): void {
      last = last.then(async () => {
        try {
          if (!failure) await (type === 'stdout' ? onStdout : onStderr)?.(body);
        } catch (error) {
          failure = { error };
          send('abort');
        }
        send('took', String(body.length));
      });
    },
    failure: () => failure,
    async delivered(): Promise<void> {
      await last;
      if (failure) throw failure.error;
    },
  };
}

function passSignals(signals: RunSignals | undefined, send: Connection['send']): () => void {
  const abort = (): void => send('abort');
  if (signals?.abort?.aborted) abort();
  signals?.abort?.addEventListener('abort', abort);
  const unsubscribe = signals?.subscribe((signal) => send('signal', signal));
  return () => {
    unsubscribe?.();
    signals?.abort?.removeEventListener('abort', abort);
  };
}

async function sendInput(
  stdin: AsyncIterable<Uint8Array>,
  inPieces: ReturnType<typeof createRoom>['send'],
  send: Connection['send'],
): Promise<void> {
  try {
    for await (const chunk of stdin) await inPieces(chunk, (piece) => send('stdin', piece));
  } catch {
    // What cannot be read any more has ended.
  }
  send('stdin-end');
}
