import {
  Agent,
  type ClientRequestArgs,
  createServer,
  request,
  type IncomingMessage,
  type RequestOptions,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connectTo, join, type Flow } from './flow.js';
import { Refused, type Route } from './route.js';

/** Where the requests of one connection for a name go. Rejects when it may not be asked for or does not resolve. */
type WebRoute = (name: string) => ReturnType<Route>;

/** Takes connections on which HTTP/1 is spoken. */
export interface WebServer {
  take(flow: Flow, head: Buffer, route: WebRoute): void;
}

/** Fields that speak of one connection alone (RFC 9110 7.6.1). */
const OF_ONE_CONNECTION = new Set(
  'connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect'.split(' '),
);

interface Client {
  readonly flow: Flow;
  readonly route: WebRoute;
  readonly turn: () => Promise<void>;
  readonly agent: Agent;
}

/** Has one connection at a time, and begins it when its turn has come. */
class PatientAgent extends Agent {
  private readonly turn: () => Promise<void>;

  constructor(turn: () => Promise<void>) {
    super({ keepAlive: true, maxSockets: 1 });
    this.turn = turn;
  }

  override createConnection(
    options: ClientRequestArgs,
    done?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    void this.turn().then(() => done?.(null, connect(options as NetConnectOpts)));
  }
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
      const agent = new PatientAgent(turn);
      clients.set(client, { flow, route, agent, turn });
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
  const options: RequestOptions = {
    host: target.addresses[0],
    port: target.port,
    method: message.method,
    path: message.url,
    headers: hasBody ? [...headers, 'Transfer-Encoding', 'chunked'] : headers,
    setHost: false,
    agent: client.agent,
  };
  const outgoing = request(options);
  outgoing.on('response', (incoming) => {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, passedOn(incoming.rawHeaders));
    incoming.pipe(response);
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
  });
  outgoing.on('error', (error) => {
    client.flow.failure = error.message;
    if (response.headersSent) response.destroy();
    else refuse(response, 502, error.message);
  });
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  message.pipe(outgoing);
}

async function upgrade(
  client: Client,
  message: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  const target = await resolveTarget(client, message);
  if (target instanceof Refused) {
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
    return;
  }
  try {
    await client.turn();
    if (socket.destroyed) return;
    const server = await connectTo(target.addresses, target.port);
    if (socket.destroyed) return void server.destroy();
    const lines = [`${message.method} ${message.url} HTTP/1.1`];
    for (let at = 0; at < message.rawHeaders.length; at += 2)
      lines.push(`${message.rawHeaders[at]}: ${message.rawHeaders[at + 1]}`);
    server.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    server.write(head);
    join(socket, server);
  } catch (error) {
    client.flow.failure = error instanceof Error ? error.message : String(error);
    socket.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n');
  }
}

function refuse(response: ServerResponse, status: number, words: string): void {
  const text = `sjs: ${words.replace(/[^ -~]/g, '?')}\n`;
  response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close' }).end(text);
}

const passedOn = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, at, all) => !OF_ONE_CONNECTION.has((all[at - (at % 2)] ?? '').toLowerCase()));
