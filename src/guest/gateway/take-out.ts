import type { Socket } from 'node:net';
import { readServerName } from './client-hello.js';
import { recognize } from './first-bytes.js';
import { connectTo, join, type Flow } from './flow.js';
import { Refused, type Route } from './route.js';
import type { WebServer } from './web.js';

/** Bytes until it is clear who is meant. */
const LONGEST_HEAD = 64 * 1024;
/** How long that may take. */
const HEAD_MS = 10_000;
/** A client that says nothing for so long waits for the server to speak first. */
const SILENCE_MS = 250;
/** unrecognized_name, fatal (RFC 6066 3). */
const TLS_ALERT = Buffer.from([21, 3, 1, 0, 2, 2, 112]);

/** What carries connections of the program. */
export interface Outward {
  readonly route: Route;
  readonly web: WebServer;
  /** Waits for this connection's turn. */
  readonly turn: () => Promise<void>;
}

/**
 * One connection of the program to a declared port.
 * @param names those that are declared on it
 */
export function takeOut(flow: Flow, port: number, names: readonly string[], outward: Outward): void {
  const { client } = flow;
  const only = names.length === 1 ? (names[0] ?? null) : null;
  let head = Buffer.alloc(0);
  /** The server of a protocol in which it speaks first. */
  let early: Promise<Socket | null> | null = null;
  let hasSpoken = false;

  const tooLate = setTimeout(() => flow.block('it did not say who is meant'), HEAD_MS);
  const silence = setTimeout(() => {
    if (only !== null && head.length === 0) early = speakFirst(only);
  }, SILENCE_MS);
  const settle = (): void => {
    clearTimeout(tooLate);
    clearTimeout(silence);
    client.off('data', onData);
    client.pause();
  };
  client.once('close', settle);

  async function speakFirst(name: string): Promise<Socket | null> {
    clearTimeout(tooLate);
    const server = await reach(flow, name, port, outward);
    if (server === null) return null;
    client.once('close', () => server.destroy());
    server.on('data', (chunk: Buffer) => {
      hasSpoken = true;
      if (!client.write(chunk)) {
        server.pause();
        client.once('drain', () => server.resume());
      }
    });
    server.once('end', () => client.end());
    server.once('close', () => {
      if (!client.writableEnded) client.destroy();
    });
    return server;
  }

  async function carry(name: string): Promise<void> {
    const server = early ? await early : await reach(flow, name, port, outward);
    if (server === null) return;
    server.write(head);
    if (early) client.pipe(server);
    else join(client, server);
    client.resume();
  }

  function onData(chunk: Buffer): void {
    head = Buffer.concat([head, chunk]);
    const protocol = recognize(head);
    if (protocol === 'tls') {
      const hello = readServerName(head);
      if (hello.kind === 'more' && head.length < LONGEST_HEAD) return;
      settle();
      if (hello.kind !== 'name') {
        return flow.block(hello.kind === 'refused' ? hello.reason : 'a broken TLS hello', TLS_ALERT);
      }
      flow.name = hello.name;
      if (!names.includes(hello.name)) return flow.block('not declared', TLS_ALERT);
      return void carry(hello.name);
    }
    if (protocol === 'more' && head.length < LONGEST_HEAD) return;
    settle();
    if (protocol === 'http') {
      if (hasSpoken) return flow.block('an HTTP request to what is no HTTP server');
      // Connected ahead, and not needed: every request goes its own way.
      void early?.then((server) => server?.removeAllListeners('close').destroy());
      return outward.web.take(flow, head, (name) => outward.route(name, port));
    }
    if (protocol !== 'other') return flow.block('no HTTP/1 request');
    if (only === null) return flow.block('neither TLS nor HTTP, on a port that several names share');
    return void carry(only);
  }
  client.on('data', onData);
  client.once('end', () => {
    if (head.length === 0 && early === null) client.end();
  });
  client.resume();
}

/** A connection to what was declared; null, and the client is told, when there is none. */
async function reach(
  flow: Flow,
  name: string,
  port: number,
  { route, turn }: Outward,
): Promise<Socket | null> {
  flow.name = name;
  try {
    const { addresses } = await route(name, port);
    await turn();
    if (flow.client.destroyed) return null;
    flow.address = addresses[0] ?? null;
    const server = await connectTo(addresses, port);
    flow.address = server.remoteAddress ?? flow.address;
    if (!flow.client.destroyed) return server;
    server.destroy();
  } catch (error) {
    if (error instanceof Refused) flow.block(error.message);
    else {
      flow.failure = error instanceof Error ? error.message : String(error);
      flow.client.destroy();
    }
  }
  return null;
}
