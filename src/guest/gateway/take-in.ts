import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connectTo, join, type Flow } from './flow.js';

/** How long a connection waits for a program that does not listen yet. */
const LISTEN_MS = 10_000;

/** Ports on which the program has listened: whoever comes when it does so no more is not kept waiting. */
const listened = new Set<number>();

/** One connection from outside to a published port, which leads to the sandbox. */
export async function takeIn(flow: Flow, port: number, sandbox: string): Promise<void> {
  const { client } = flow;
  const leg = flow.lead(null, client.remoteAddress ?? null);
  try {
    const server = await reach(sandbox, port, () => client.destroyed);
    leg.count(server);
    join(client, server);
    client.resume();
  } catch (error) {
    leg.fail(error instanceof Error ? error.message : String(error));
    client.destroy();
  }
}

async function reach(sandbox: string, port: number, isGone: () => boolean): Promise<Socket> {
  const end = performance.now() + LISTEN_MS;
  for (;;) {
    try {
      const server = await connectTo([sandbox], port);
      listened.add(port);
      return server;
    } catch (error) {
      const isEarly = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED' && !listened.has(port);
      if (!isEarly || isGone() || performance.now() > end) throw error;
      await delay(50);
    }
  }
}
