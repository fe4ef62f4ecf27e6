import { createSocket } from 'node:dgram';
import type { Config } from './config.js';
import { answerQuery, readQuery } from './name-query.js';
import type { Report } from './report.js';

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

/** Answers questions for names: declared ones are at the gateway, no others exist. */
export function serveNames({ egress, inside, most }: Config, report: Report): Promise<void> {
  const answer = createNameServer(new Set(egress.map(({ name }) => name)), inside, report, most);
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const answered = answer(message);
    if (answered) socket.send(answered, from.port, from.address, () => undefined);
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(53, inside, () => {
      // An answer that cannot be sent is asked for again.
      socket.off('error', reject).on('error', () => undefined);
      resolve();
    });
  });
}
