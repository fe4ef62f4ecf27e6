import { createSocket } from 'node:dgram';
import type { Config } from './config.js';
import { answerQuery, readQuery } from './name-query.js';
import type { Report } from './report.js';

/**
 * Answers questions for names: declared ones are at the gateway, no others exist. Those that were asked for and are not
 * declared are told, each once.
 */
export function serveNames({ egress, inside, most }: Config, report: Report): Promise<void> {
  const declared = new Set(egress.map(({ name }) => name));
  const told = new Set<string>();
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const query = readQuery(message);
    if (query === null) return;
    const isDeclared = declared.has(query.name);
    const answer = !isDeclared ? 'no-such-name' : query.wantsAddress ? inside : 'none';
    socket.send(answerQuery(query, answer), from.port, from.address, () => undefined);
    if (isDeclared || told.has(query.name) || told.size >= most) return;
    told.add(query.name);
    report.add({
      at: new Date().toISOString(),
      direction: 'out',
      name: query.name,
      address: null,
      port: null,
      sentBytes: 0,
      receivedBytes: 0,
      verdict: 'blocked',
      reason: 'not declared',
    });
  });
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.bind(53, inside, resolve));
}
