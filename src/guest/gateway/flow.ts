import { connect, type Socket } from 'node:net';
import type { Connection, Report } from './report.js';

const CONNECT_MS = 10_000;

/** One client's connection, open until it is told. */
export class Flow {
  readonly client: Socket;
  private readonly begun: Pick<Connection, 'at' | 'direction' | 'port'>;
  private readonly report: Report;
  private isTold = false;
  name: string | null = null;
  address: string | null = null;
  /** Why it failed, of what was allowed. */
  failure: string | null = null;

  constructor(client: Socket, direction: Connection['direction'], port: number, report: Report) {
    this.client = client;
    this.begun = { at: new Date().toISOString(), direction, port };
    this.report = report;
    // Its close, which follows, tells it.
    client.on('error', () => undefined);
    client.setNoDelay(true);
    client.once('close', () => this.finish());
  }

  /** Tells that it was blocked, and ends it. */
  block(reason: string, farewell?: Buffer): void {
    this.tell('blocked', reason);
    if (farewell) this.client.end(farewell);
    else this.client.destroy();
    // One that does not go by itself.
    this.client.setTimeout(1000, () => this.client.destroy());
  }

  /** Tells a request that was blocked. What was allowed before it on the same connection is told when that ends. */
  blockRequest(name: string | null, reason: string): void {
    if (this.address === null) {
      this.name = name;
      return this.tell('blocked', reason);
    }
    this.report.add({ ...this.begun, ...NOTHING_SENT, name, address: null, verdict: 'blocked', reason });
  }

  /** Tells it, if that was not done, and ends it. */
  finish(): void {
    if (this.address !== null) this.tell('allowed', this.failure);
    else this.tell('blocked', this.failure ?? 'ended before it said who is meant');
    this.client.destroy();
  }

  private tell(verdict: Connection['verdict'], reason: string | null): void {
    if (this.isTold) return;
    this.isTold = true;
    const { bytesRead, bytesWritten } = this.client;
    const [sentBytes, receivedBytes] =
      this.begun.direction === 'out' ? [bytesRead, bytesWritten] : [bytesWritten, bytesRead];
    const { name, address } = this;
    this.report.add({ ...this.begun, name, address, sentBytes, receivedBytes, verdict, reason });
  }
}

const NOTHING_SENT = { sentBytes: 0, receivedBytes: 0 } as const;

/** Connects to the first of the addresses that answers. Rejects with the last one's error. */
export async function connectTo(addresses: readonly string[], port: number): Promise<Socket> {
  let last: unknown = new Error('no address');
  for (const host of addresses) {
    try {
      return await connectOne(host, port);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function connectOne(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('it did not answer')), CONNECT_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.once('error', reject);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Carries bytes both ways until both ends are through. */
export function join(client: Socket, server: Socket): void {
  client.pipe(server);
  server.pipe(client);
  const end = (): void => {
    client.destroy();
    server.destroy();
  };
  client.once('error', end).once('close', end);
  server.once('error', end).once('close', () => {
    // What it sent last may still be on its way.
    if (!client.writableEnded) end();
  });
}
