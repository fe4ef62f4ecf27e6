import type { Socket } from 'node:net';
import { connectTo, join, type Flow, type Leg } from './flow.js';
import { Head } from './head.js';
import type { Route } from './route.js';
import type { WebServer } from './web.js';

/** How long it may take until it is clear who is meant. */
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
  const head = new Head();
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
    server.write(head.bytes());
    if (early) client.pipe(server);
    else join(client, server);
    client.resume();
  }

  function onData(chunk: Buffer): void {
    const beginning = head.add(chunk);
    if (beginning.kind === 'more') return;
    settle();
    if (beginning.kind === 'refused') return flow.block(beginning.reason, TLS_ALERT);
    if (beginning.kind === 'tls') {
      const { name } = beginning;
      flow.name = name;
      if (!names.includes(name)) return flow.block('not declared', TLS_ALERT);
      return void carry(name);
    }
    if (beginning.kind === 'http') {
      if (hasSpoken) return flow.block('an HTTP request to what is no HTTP server');
      // Connected ahead, and not needed: every request goes its own way.
      void early?.then((server) => server?.removeAllListeners('close').destroy());
      return outward.web.take(flow, head.bytes(), (name) => outward.route(name, port));
    }
    if (beginning.kind !== 'other') return flow.block('no HTTP/1 request');
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
  let leg: Leg | null = null;
  try {
    const { addresses } = await route(name, port);
    await turn();
    if (flow.client.destroyed) return null;
    leg = flow.lead(name, addresses[0] ?? null);
    const server = await connectTo(addresses, port);
    leg.count(server);
    leg.address = server.remoteAddress ?? leg.address;
    if (!flow.client.destroyed) return server;
    server.destroy();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (leg === null) flow.block(reason);
    else {
      leg.fail(reason);
      flow.client.destroy();
    }
  }
  return null;
}
