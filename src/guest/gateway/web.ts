import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { join, type Flow } from './flow.js';
import { askOn, createWay, passedOn, refuse, type Way } from './ask-on.js';
import { Refused, type Target } from './route.js';

/** Requests that wait for the answers to those before them: one more, and nobody takes the answers. */
const MOST_WAITING = 32;

/** One connection, whose requests are answered one after the other. */
interface Client {
  readonly flow: Flow;
  readonly route: WebRoute;
  readonly turn: () => Promise<void>;
  readonly ways: Map<string, Way>;
  /** The way of the last request, the only one that may still be connected. */
  last: Way | null;
  /** The request before. */
  before: Promise<void>;
  waiting: number;
  /** No further request is taken. */
  isOver: boolean;
}

/** Where the requests of one connection for a name go. Rejects when it may not be asked for or does not resolve. */
export type WebRoute = (name: string) => Promise<Target>;

/** Takes over connections that begin with an HTTP/1 request. */
export interface WebServer {
  readonly take: (flow: Flow, head: Buffer, route: WebRoute) => void;
}

/**
 * The HTTP/1 side: every request of a connection is parsed and sent anew, to the name in its own Host field. So a later
 * one cannot ask for another host than was looked at, nor can one hide inside another.
 * @param turn waits for the turn of one more connection that leads out
 */
export function createWebServer(turn: () => Promise<void>): WebServer {
  const clients = new WeakMap<Socket, Client>();
  const clientOf = (message: IncomingMessage): Client => {
    const client = clients.get(message.socket);
    if (!client) throw new Error('unknown connection');
    return client;
  };
  const server: Server = createServer({ requireHostHeader: false, requestTimeout: 0 });
  server.on('request', (message, response) => {
    const client = clientOf(message);
    if (isFlood(client)) return;
    takeTurn(client, () => answer(client, message, response));
  });
  server.on('upgrade', (message, socket, head) => {
    const client = clientOf(message);
    if (client.waiting > 0) return end(client, message.headers.host ?? null, 'an upgrade before its turn');
    takeTurn(client, () => upgrade(client, message, socket as Socket, head));
  });
  server.on('connect', (message, socket) => {
    const client = clientOf(message);
    client.isOver = true;
    client.flow.blockRequest(message.url ?? null, 'asked for as of a proxy');
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const client = clients.get(socket as Socket);
    if (client && !client.isOver && error.code?.startsWith('HPE_')) {
      client.isOver = true;
      client.flow.blockRequest(null, 'no HTTP/1 request');
    }
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  return {
    take(flow, head, route) {
      const ways = new Map<string, Way>();
      const before = Promise.resolve();
      clients.set(flow.client, { flow, route, turn, ways, last: null, before, waiting: 0, isOver: false });
      flow.client.once('close', () => {
        for (const { agent } of ways.values()) agent.destroy();
      });
      flow.client.unshift(head);
      server.emit('connection', flow.client);
      flow.client.resume();
    },
  };
}

/** Answers when what came before is answered. Whatever is thrown ends this connection, and no other. */
function takeTurn(client: Client, act: () => Promise<void>): void {
  client.waiting += 1;
  const begin = (): void | Promise<void> => (isGone(client) ? undefined : act());
  client.before = client.before
    .then(begin)
    .catch((error: unknown) => end(client, null, error instanceof Error ? error.message : String(error)))
    .then(() => void (client.waiting -= 1));
}

const isGone = ({ isOver, flow }: Client): boolean => isOver || flow.client.destroyed;

function isFlood(client: Client): boolean {
  if (isGone(client)) return true;
  if (client.waiting <= MOST_WAITING) return false;
  end(client, null, 'too many requests ahead of their answers');
  return true;
}

function end(client: Client, name: string | null, reason: string): void {
  client.isOver = true;
  client.flow.blockRequest(name, reason);
  client.flow.client.destroy();
}

/** The name that a request is for. @throws Refused */
function nameOf(message: IncomingMessage, port: number): string {
  const hosts = message.rawHeaders.filter(
    (_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === 'host',
  );
  const [host] = hosts;
  if (host === undefined || hosts.length > 1) throw new Refused('not one Host');
  if (message.url !== '*' && !message.url?.startsWith('/')) throw new Refused('asked for as of a proxy');
  // Where servers differ in which one they believe, a request can hide in the body of another (RFC 9112 6.1).
  const { 'transfer-encoding': encoding, 'content-length': length } = message.headers;
  if (encoding !== undefined && length !== undefined) throw new Refused('two lengths');
  const [, name = '', portText] = /^([^:]*)(?::(\d+))?$/.exec(host) ?? [];
  if (Number(portText ?? 80) !== port) throw new Refused('its Host says another port');
  return name;
}

/** The way of a request; null when it was refused, which is told. */
async function findWay(
  client: Client,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<Way | null> {
  const { flow, route, ways } = client;
  const said = message.headers.host ?? null;
  try {
    const name = nameOf(message, flow.client.localPort ?? 0);
    const target = await route(name);
    if (isGone(client)) return null;
    const known = ways.get(name);
    const leg = known?.leg ?? flow.lead(name, target.addresses[0] ?? null);
    const way = known ?? createWay(leg, target, client.turn);
    ways.set(name, way);
    if (client.last !== way) client.last?.agent.destroy();
    return (client.last = way);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const name = said?.replace(/:\d*$/, '') ?? null;
    refuseRequest(client, response, name, reason, `${name ?? 'the request'}: ${reason}`);
    return null;
  }
}

async function answer(client: Client, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const way = await findWay(client, message, response);
  if (way === null) return;
  const headers = passedOn(message.rawHeaders);
  const hasBody = message.headers['transfer-encoding'] !== undefined;
  const fields = hasBody ? [...headers, 'Transfer-Encoding', 'chunked'] : headers;
  const answered = new Promise<void>((resolve) => response.once('close', resolve));
  const outgoing = askOn(way, message, fields, response);
  // A server that changes to a protocol which nobody asked for.
  outgoing.on('close', () => {
    if (!response.headersSent) refuse(response, 502, 'it gave no answer');
  });
  message.pipe(outgoing);
  await answered;
}

/**
 * A WebSocket. Until the server has agreed it is a request as any other, since a server that does not would read
 * what comes next as requests that nobody looked at. Other protocols could ask for other hosts (h2c, TLS).
 */
async function upgrade(
  client: Client,
  message: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  const response = new ServerResponse(message);
  response.assignSocket(socket);
  response.shouldKeepAlive = false;
  response.on('finish', () => socket.end());
  const { upgrade: protocol, 'content-length': length, 'transfer-encoding': encoding } = message.headers;
  if (protocol?.toLowerCase() !== 'websocket' || (length ?? encoding) !== undefined) {
    const name = message.headers.host ?? null;
    const reason = 'an upgrade to another protocol than WebSocket';
    return refuseRequest(client, response, name, reason, 'of the upgrades only one to WebSocket passes');
  }
  const way = await findWay(client, message, response);
  if (way === null) return;
  client.isOver = true;
  const outgoing = askOn(way, message, message.rawHeaders, response);
  outgoing.on('upgrade', (incoming, server, first) => {
    response.detachSocket(socket);
    const lines = [`HTTP/1.1 101 ${incoming.statusMessage}`];
    for (let at = 0; at < incoming.rawHeaders.length; at += 2)
      lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    socket.write(first);
    server.write(head);
    join(socket, server);
  });
  outgoing.end();
}

/** Tells a request that may not pass, and says so to the program, whose connection ends with it. */
function refuseRequest(
  client: Client,
  response: ServerResponse,
  name: string | null,
  reason: string,
  words: string,
): void {
  client.isOver = true;
  client.flow.blockRequest(name, reason);
  refuse(response, 403, words);
}
