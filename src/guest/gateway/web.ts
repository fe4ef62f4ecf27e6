import {
  Agent,
  createServer,
  request,
  ServerResponse,
  type ClientRequest,
  type IncomingMessage,
  type Server,
} from 'node:http';
import type { Socket } from 'node:net';
import { join, type Flow } from './flow.js';

/** Where the requests for a name go. Rejects when the name may not be asked for or does not resolve. */
export type Route = (
  name: string,
) => Promise<{ readonly addresses: readonly string[]; readonly port: number }>;

/** Fields that speak of one connection alone (RFC 9110 7.6.1). */
const OF_ONE_CONNECTION = new Set(
  'connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect'.split(' '),
);

interface Client {
  readonly flow: Flow;
  readonly route: Route;
  readonly agent: Agent;
}

/** A name that is not declared, or a request that does not name one as it must. */
export class Refused extends Error {}

/**
 * The HTTP/1 side: every request of a connection is parsed and sent anew, to the name in its own Host field. So a later
 * one cannot ask for another host than was looked at, nor can one hide inside another.
 */
export function createWebServer(): { readonly take: (flow: Flow, head: Buffer, route: Route) => void } {
  const clients = new WeakMap<Socket, Client>();
  const clientOf = (message: IncomingMessage): Client => {
    const client = clients.get(message.socket);
    if (!client) throw new Error('unknown connection');
    return client;
  };
  const server: Server = createServer({ requireHostHeader: false, requestTimeout: 0 });
  server.on('request', (message, response) => void answer(clientOf(message), message, response));
  server.on(
    'upgrade',
    (message, socket, head) => void upgrade(clientOf(message), message, socket as Socket, head),
  );
  server.on('connect', (message, socket) => {
    const { flow } = clientOf(message);
    flow.blockRequest(message.url ?? null, 'asked for as of a proxy');
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
  });
  server.on('clientError', (_error, socket) => {
    const client = clients.get(socket as Socket);
    client?.flow.blockRequest(null, 'no HTTP/1 request');
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  return {
    take(flow, head, route) {
      const { client } = flow;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      clients.set(client, { flow, route, agent });
      client.once('close', () => agent.destroy());
      client.unshift(head);
      server.emit('connection', client);
      client.resume();
    },
  };
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

async function resolveTarget({ flow, route }: Client, message: IncomingMessage) {
  const said = message.headers.host ?? null;
  try {
    const name = nameOf(message, flow.client.localPort ?? 0);
    const target = await route(name);
    flow.name ??= name;
    flow.address ??= target.addresses[0] ?? null;
    return target;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const name = said?.replace(/:\d*$/, '') ?? null;
    flow.blockRequest(name, reason);
    return new Refused(`${name ?? 'the request'}: ${reason}`);
  }
}

async function answer(client: Client, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = await resolveTarget(client, message);
  if (target instanceof Refused) return refuse(response, 403, target.message);
  const headers = passedOn(message.rawHeaders);
  const hasBody = message.headers['transfer-encoding'] !== undefined;
  const fields = hasBody ? [...headers, 'Transfer-Encoding', 'chunked'] : headers;
  message.pipe(askOn(client, target, message, fields, response));
}

/** Sends a request on, and what is answered back; no answer, whatever it is, ends the gateway. */
function askOn(
  client: Client,
  { addresses, port }: Awaited<ReturnType<Route>>,
  message: IncomingMessage,
  headers: readonly string[],
  response: ServerResponse,
): ClientRequest {
  const outgoing = request({
    host: addresses[0],
    port,
    method: message.method,
    path: message.url,
    headers,
    setHost: false,
    agent: client.agent,
  });
  const fail = (error: Error): void => {
    client.flow.failure = error.message;
    if (response.headersSent) response.destroy();
    else refuse(response, 502, error.message);
  };
  outgoing.on('response', (incoming) => {
    try {
      response.writeHead(
        incoming.statusCode ?? 502,
        incoming.statusMessage?.replace(/[^ -~]/g, '?'),
        passedOn(incoming.rawHeaders),
      );
    } catch (error) {
      incoming.destroy();
      return fail(error as Error);
    }
    incoming.pipe(response);
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
  });
  outgoing.on('error', fail);
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  return outgoing;
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
    client.flow.blockRequest(message.headers.host ?? null, 'an upgrade to another protocol than WebSocket');
    return refuse(response, 403, 'of the upgrades only one to WebSocket passes');
  }
  const target = await resolveTarget(client, message);
  if (target instanceof Refused) return refuse(response, 403, target.message);
  const outgoing = askOn({ ...client, agent: new Agent() }, target, message, message.rawHeaders, response);
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

function refuse(response: ServerResponse, status: number, words: string): void {
  const text = `sjs: ${words.replace(/[^ -~]/g, '?')}\n`;
  response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close' }).end(text);
}

const passedOn = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, at, all) => !OF_ONE_CONNECTION.has((all[at - (at % 2)] ?? '').toLowerCase()));
