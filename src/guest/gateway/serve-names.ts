import { createServer, type Socket } from 'node:net';
import type { Config } from './config.js';
import { answerQuery, readQuery } from './name-query.js';
import type { Report } from './report.js';

/** Connections at a time: each of them has asked and been answered within a moment. */
const MOST_OPEN = 100;
const PATIENCE_MS = 10_000;
const LONGEST_QUERY = 512;

/**
 * What a DNS query is answered: the gateway's address for a declared name. Every other name is told once; null for what
 * is no query.
 * @param most names told at most
 */
export function createNameServer(
  declared: ReadonlySet<string>,
  gateway: string,
  report: Report,
  most: number,
): (message: Buffer) => Buffer | null {
  const told = new Set<string>();
  return (message) => {
    const query = readQuery(message);
    if (query === null) return null;
    const { name, wantsAddress } = query;
    if (declared.has(name)) return answerQuery(query, wantsAddress ? gateway : 'none');
    if (!told.has(name)) {
      if (told.size >= most) report.omit();
      else {
        told.add(name);
        tell(name, report);
      }
    }
    return answerQuery(query, 'no-such-name');
  };
}

function tell(name: string, report: Report): void {
  report.add({
    at: new Date().toISOString(),
    direction: 'out',
    name,
    address: null,
    port: null,
    sentBytes: 0,
    receivedBytes: 0,
    verdict: 'blocked',
    reason: 'not declared',
  });
}

/** Answers questions for names, over TCP (RFC 7766): a sandbox has no datagrams. */
export function serveNames({ egress, inside, most }: Config, report: Report): Promise<void> {
  const answer = createNameServer(new Set(egress.map(({ name }) => name)), inside, report, most);
  const server = createServer((socket) => talk(socket, answer));
  server.maxConnections = MOST_OPEN;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(53, inside, () => {
      // A connection that cannot be taken is the client's misfortune alone.
      server.off('error', reject).on('error', () => undefined);
      resolve();
    });
  });
}

/** Questions and answers of one connection, each behind its length. What is none ends it. */
function talk(socket: Socket, answer: (message: Buffer) => Buffer | null): void {
  let rest = Buffer.alloc(0);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2) {
      const length = rest.readUInt16BE(0);
      if (length > LONGEST_QUERY) return void socket.destroy();
      if (rest.length < 2 + length) return;
      const answered = answer(rest.subarray(2, 2 + length));
      if (answered === null) return void socket.destroy();
      const head = Buffer.alloc(2);
      head.writeUInt16BE(answered.length);
      // One that asks and does not read is not waited for.
      if (!socket.write(Buffer.concat([head, answered]))) return void socket.destroy();
      rest = rest.subarray(2 + length);
    }
  });
}
