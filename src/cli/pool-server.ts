import { createServer, type Server, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Pool, PoolRunOptions, PoolStatus } from '../index.js';
import { errorDocument, toSjsError } from './error-report.js';
import {
  createRoom,
  encodeFrame,
  MOST_BODY_BYTES,
  PROTOCOL,
  readFrames,
  type Frame,
  type FrameType,
} from './pool-frames.js';
import { describeOtherScene, type PoolScene } from './pool-scene.js';
import { createTap } from './signals.js';

/** More at once only wait for each other. */
const MOST_CONNECTIONS = 1024;

/** What a client says first: what it needs, and that it would run it as this process does. */
export interface Hello {
  readonly protocol: number;
  readonly scene: PoolScene;
  readonly target: string;
}

/** Which seal the target means, whether this pool is of it, and why it cannot be used all the same. */
export interface HelloAnswer {
  readonly tag: string | null;
  readonly isHere: boolean;
  readonly why: string | null;
}

/** What is asked of a pool besides streams and arguments. */
export interface PoolAsked extends Pick<PoolRunOptions, 'args' | 'env' | 'secrets' | 'limits'> {
  /** Of a call: its function. */
  readonly export?: string;
  /** Of a run: whether it has standard input, which follows. */
  readonly hasStdin?: boolean;
}

/** What `sjs pool status` says of one. */
export interface PoolReport extends PoolStatus {
  readonly tag: string;
  readonly seal: string;
  readonly pid: number;
  /** ISO time. */
  readonly since: string;
  readonly calls: number;
  readonly log: string;
}

/** A pool that others can ask. */
export interface ServedPool extends Pick<PoolReport, 'tag' | 'seal' | 'since' | 'log'> {
  readonly pool: Pick<Pool, 'run' | 'call' | 'status'>;
  readonly scene: PoolScene;
  /** The tag that a target means; null for none. */
  readonly resolve: (target: string) => Promise<string | null>;
  /** Takes no more calls, waits for those under way, and removes all. */
  readonly stop: () => Promise<void>;
  readonly isStopping: () => boolean;
}

/**
 * Answers whoever connects: that only their owner can is up to the folder of the socket. `settled` is fulfilled when all
 * that was asked so far is answered.
 */
export function createPoolServer(served: ServedPool): {
  readonly server: Server;
  readonly settled: () => Promise<void>;
} {
  let calls = 0;
  const underWay = new Set<Promise<void>>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    void serveOne(socket, served, {
      begin(work) {
        calls += 1;
        const ended = work.catch(() => void socket.destroy()).finally(() => underWay.delete(ended));
        underWay.add(ended);
      },
      report: () => ({
        ...{
          tag: served.tag,
          seal: served.seal,
          pid: process.pid,
          since: served.since,
          calls,
          log: served.log,
        },
        ...served.pool.status(),
      }),
    }).catch(() => socket.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  return { server, settled: async () => void (await Promise.all(underWay)) };
}

interface Counter {
  readonly begin: (work: Promise<void>) => void;
  readonly report: () => PoolReport;
}

async function serveOne(socket: Socket, served: ServedPool, { begin, report }: Counter): Promise<void> {
  const send = (type: FrameType, body: Uint8Array | string = ''): void => {
    if (socket.writable) socket.write(encodeFrame(type, body));
  };
  const answer = (document: object): void => send('answer', JSON.stringify(document));
  const work = prepareRun(served, send, () => socket.destroy());
  try {
    let args: Uint8Array = new Uint8Array();
    for await (const { type, body } of readFrames(socket)) {
      switch (type) {
        case 'hello':
          answer(await greet(JSON.parse(body.toString()) as Hello, served));
          break;
        case 'status':
          answer(report());
          break;
        case 'stop':
          // Whoever asks may have a run under way, and may go.
          void served.stop().then(
            () => answer(report()),
            () => socket.destroy(),
          );
          break;
        case 'args':
          args = body;
          break;
        case 'call':
        case 'run':
          begin(work.begin(JSON.parse(body.toString()) as PoolAsked, args).then(() => endWhole(socket)));
          break;
        default:
          work.take({ type, body });
      }
    }
  } finally {
    // The client has gone, whether it has its answer or not.
    work.leave();
    socket.end();
  }
}

/** Fulfilled when the other side has everything, or is gone. */
const endWhole = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.end(() => resolve());
    if (socket.destroyed) resolve();
  });

async function greet({ protocol, scene, target }: Hello, served: ServedPool): Promise<HelloAnswer> {
  if (protocol !== PROTOCOL)
    return { tag: null, isHere: false, why: 'it was started by another version of sjs' };
  const tag = target === served.tag ? target : await served.resolve(target);
  const other = describeOtherScene(scene, served.scene);
  const why = served.isStopping() ? 'it is being stopped' : other && `it was started with another ${other}`;
  return { tag, isHere: tag === served.tag, why };
}

/** The run of one connection: what comes over it goes to the program, what the program writes goes back. */
function prepareRun(
  { pool }: ServedPool,
  send: (type: FrameType, body?: Uint8Array | string) => void,
  hangUp: () => void,
) {
  const room = createRoom();
  const tap = createTap(hangUp);
  const gone = new AbortController();
  const stdin = new PassThrough({ highWaterMark: 0 });
  stdin.on('error', () => undefined);
  const pass = (type: FrameType) => (chunk: Uint8Array) => room.send(chunk, (piece) => send(type, piece));
  return {
    async begin(
      { export: name, hasStdin, args = null, ...asked }: PoolAsked,
      document: Uint8Array,
    ): Promise<void> {
      const given = {
        ...asked,
        onStdout: pass('stdout'),
        onStderr: pass('stderr'),
        onStarted: (id: string) => send('started', id),
        signals: { ...tap.signals, abort: AbortSignal.any([tap.signals.abort, gone.signal]) },
      };
      try {
        const ended =
          name === undefined
            ? await pool.run({ ...given, args, stdin: hasStdin ? stdin : null })
            : await pool.call(name, document, given);
        const answer = Buffer.from(JSON.stringify(ended));
        if (answer.length > MOST_BODY_BYTES) throw new Error(`a result of ${answer.length} bytes`);
        send('done', answer);
      } catch (error) {
        send('failed', JSON.stringify(errorDocument(toSjsError(error))));
      }
    },
    take({ type, body }: Frame): void {
      if (type === 'stdin') stdin.write(body, () => send('took', String(body.length)));
      if (type === 'stdin-end') stdin.end();
      if (type === 'took') room.took(Number(body));
      if (type === 'signal') tap.pass(body.toString() as NodeJS.Signals);
      if (type === 'abort') gone.abort();
    },
    leave(): void {
      gone.abort();
      room.close();
    },
  };
}
