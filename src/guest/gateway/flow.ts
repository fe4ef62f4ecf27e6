import { connect, type Socket } from 'node:net';
import type { Connection, Report } from './report.js';

const CONNECT_MS = 10_000;

/** What a connection carried to or from one server, which may take several connections to it. */
export class Leg {
  readonly name: string | null;
  address: string | null;
  private failure: string | null = null;
  private hasSucceeded = false;
  private readonly at = new Date().toISOString();
  private readonly sockets = new Set<Socket>();
  private readonly past = { read: 0, written: 0 };

  constructor(name: string | null, address: string | null) {
    this.name = name;
    this.address = address;
  }

  /** Why nothing came of it. Of several requests one that failed says nothing about the others. */
  fail(reason: string): void {
    if (!this.hasSucceeded) this.failure = reason;
  }

  succeed(): void {
    this.hasSucceeded = true;
    this.failure = null;
  }

  /** Counts what goes over a connection to the server. */
  count(server: Socket): void {
    this.sockets.add(server);
    server.once('close', () => {
      this.sockets.delete(server);
      this.past.read += server.bytesRead;
      this.past.written += server.bytesWritten;
    });
  }

  told(direction: Connection['direction']) {
    const { name, address, at, failure: reason } = this;
    const open = [...this.sockets];
    const read = open.reduce((sum, { bytesRead }) => sum + bytesRead, this.past.read);
    const written = open.reduce((sum, { bytesWritten }) => sum + bytesWritten, this.past.written);
    const [sentBytes, receivedBytes] = direction === 'out' ? [written, read] : [read, written];
    return { at, name, address, sentBytes, receivedBytes, verdict: 'allowed', reason } as const;
  }
}

/** One client's connection, open until it is told: each server that it led to, and each request that was blocked. */
export class Flow {
  readonly client: Socket;
  private readonly at = new Date().toISOString();
  private readonly begun: Pick<Connection, 'direction' | 'port'>;
  private readonly report: Report;
  private readonly legs: Leg[] = [];
  private isBlocked = false;
  private isTold = false;
  /** Who was meant, and who came, of one that is blocked. */
  name: string | null = null;
  address: string | null = null;

  constructor(client: Socket, direction: Connection['direction'], port: number, report: Report) {
    this.client = client;
    this.begun = { direction, port };
    this.report = report;
    // Its close, which follows, tells it.
    client.on('error', () => undefined);
    client.setNoDelay(true);
    client.once('close', () => this.finish());
  }

  /** The way to a server: one for each name. */
  lead(name: string | null, address: string | null): Leg {
    const known = this.legs.find((leg) => leg.name === name);
    const leg = known ?? new Leg(name, address);
    if (!known) this.legs.push(leg);
    return leg;
  }

  /** Tells that it was blocked, and ends it. */
  block(reason: string, farewell?: Buffer): void {
    if (!this.isBlocked) this.blockRequest(this.name, reason);
    if (farewell) this.client.end(farewell);
    else this.client.destroy();
    // One that does not go by itself.
    this.client.setTimeout(1000, () => this.client.destroy());
  }

  /** Tells that it, or one request of it, was blocked. */
  blockRequest(name: string | null, reason: string): void {
    this.isBlocked = true;
    const { at, begun, address, client } = this;
    const bytes = [client.bytesRead, client.bytesWritten];
    // Of requests that share a connection nobody knows which bytes are whose.
    const [sentBytes = 0, receivedBytes = 0] =
      this.legs.length > 0 ? [] : begun.direction === 'out' ? bytes : bytes.reverse();
    this.report.add({ ...begun, at, name, address, sentBytes, receivedBytes, verdict: 'blocked', reason });
  }

  /** Tells where it led, if that was not done, and ends it. */
  finish(): void {
    if (!this.isTold) {
      this.isTold = true;
      const { direction } = this.begun;
      for (const leg of this.legs) this.report.add({ ...this.begun, ...leg.told(direction) });
      if (this.legs.length === 0 && !this.isBlocked)
        this.blockRequest(this.name, 'ended before it said who is meant');
    }
    this.client.destroy();
  }
}

/**
 * Connects to the first of the addresses that answers. Rejects with the last one's error.
 * @param allowHalfOpen whether it stays open when the server has said all
 */
export async function connectTo(
  addresses: readonly string[],
  port: number,
  allowHalfOpen = true,
): Promise<Socket> {
  let last: unknown = new Error('no address');
  for (const host of addresses) {
    try {
      return await connectOne(host, port, allowHalfOpen);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function connectOne(host: string, port: number, allowHalfOpen: boolean): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen, noDelay: true });
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
