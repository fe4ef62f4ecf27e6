import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from '@jest/globals';

/** A request that a tiny server saw. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
}

/** A server on loopback that does whatever a test wants. */
export interface TinyServer {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly seen: readonly SeenRequest[];
}

const stops: (() => Promise<void>)[] = [];

/** Starts a server; it ends after the test. Call {@link stopServers} once in the file. */
export async function startServer(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TinyServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, authorization: headers.authorization });
    handle(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** Registers the end of all servers after each test. */
export function stopServers(): void {
  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });
}
