import { createServer, type Server } from 'node:net';
import { Flow } from './flow.js';
import type { Connection, Report } from './report.js';

/** Where connections come in. */
export interface Doors {
  /** Listens, and hands over each connection that there is room for. */
  open(
    direction: Connection['direction'],
    port: number,
    host: string,
    take: (flow: Flow) => void,
  ): Promise<Server>;
  /** Ends and tells all connections. */
  finish(): void;
}

/**
 * @param most connections at a time, in each direction: those who come in leave room for the program's own, and the
 * other way round
 */
export function createDoors(report: Report, most: number): Doors {
  const inside = { in: new Set<Flow>(), out: new Set<Flow>() };
  return {
    open(direction, port, host, take) {
      const flows = inside[direction];
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
        const flow = new Flow(client, direction, port, report);
        if (flows.size >= most) return flow.block('too many connections at a time');
        flows.add(flow);
        client.once('close', () => flows.delete(flow));
        take(flow);
      });
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, 1024, () => {
          // A connection that cannot be taken is the client's misfortune alone.
          server.off('error', reject).on('error', () => undefined);
          resolve(server);
        });
      });
    },
    finish() {
      for (const flow of [...inside.in, ...inside.out]) flow.finish();
    },
  };
}
