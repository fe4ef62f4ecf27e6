import { Agent, request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { connectTo, type Leg } from './flow.js';
import type { Target } from './route.js';

/** Fields that speak of one connection alone (RFC 9110 7.6.1). */
const OF_ONE_CONNECTION = new Set(
  'connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect'.split(' '),
);

/** The way to one server, and what was told of it. */
export interface Way {
  readonly leg: Leg;
  readonly agent: Agent;
  readonly target: Target;
}

/** Connects to the addresses of one way when the turn has come, and counts what goes over it. */
class WayAgent extends Agent {
  private readonly target: Target;
  private readonly leg: Leg;

  private readonly turn: () => Promise<void>;

  constructor(target: Target, leg: Leg, turn: () => Promise<void>) {
    super({ keepAlive: true });
    this.target = target;
    this.leg = leg;
    this.turn = turn;
  }

  // Node calls it for each connection, and takes what is handed to the callback.
  override createConnection(_options: unknown, done?: (error: Error | null, socket: Duplex) => void): null {
    const { addresses, port } = this.target;
    const begin = () => connectTo(addresses, port, false);
    void this.turn()
      .then(begin)
      .then(
        (socket) => {
          this.leg.count(socket);
          this.leg.address = socket.remoteAddress ?? this.leg.address;
          done?.(null, socket);
        },
        (error: unknown) => done?.(error as Error, undefined as never),
      );
    return null;
  }
}

/** The way to a target; nothing is connected yet. */
export function createWay(leg: Leg, target: Target, turn: () => Promise<void>): Way {
  return { leg, target, agent: new WayAgent(target, leg, turn) };
}

/** Sends a request on, and what is answered back; no answer, whatever it is, ends the gateway. */
export function askOn(
  { leg, target, agent }: Way,
  message: IncomingMessage,
  headers: readonly string[],
  response: ServerResponse,
): ClientRequest {
  const outgoing = request({
    host: target.addresses[0],
    port: target.port,
    method: message.method,
    path: message.url,
    headers,
    setHost: false,
    agent,
  });
  let hasFailed = false;
  const fail = (error: Error): void => {
    hasFailed = true;
    leg.fail(error.message);
    if (response.headersSent) response.destroy();
    else refuse(response, 502, error.message);
  };
  outgoing.on('response', (incoming) => {
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    if (hasFailed) return void incoming.destroy();
    try {
      response.writeHead(
        incoming.statusCode ?? 502,
        incoming.statusMessage?.replace(/[^ -~]/g, '?'),
        passedOn(incoming.rawHeaders),
      );
    } catch (error) {
      fail(error as Error);
      return void incoming.destroy();
    }
    leg.succeed();
    incoming.pipe(response);
  });
  outgoing.on('error', fail);
  response.on('error', () => outgoing.destroy());
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  return outgoing;
}

/** Answers in the place of the server, and ends the connection. */
export function refuse(response: ServerResponse, status: number, words: string): void {
  const text = `sjs: ${words.replace(/[^ -~]/g, '?')}\n`;
  response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close' }).end(text);
}

/** The fields that a request or an answer takes along. */
export const passedOn = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, at, all) => !OF_ONE_CONNECTION.has((all[at - (at % 2)] ?? '').toLowerCase()));
