import { connectTo, join, type Flow } from './flow.js';

/** One connection from outside to a published port, which leads to the sandbox. */
export async function takeIn(flow: Flow, port: number, sandbox: string): Promise<void> {
  const { client } = flow;
  const leg = flow.lead(null, client.remoteAddress ?? null);
  try {
    const server = await connectTo([sandbox], port);
    leg.count(server);
    join(client, server);
    client.resume();
  } catch (error) {
    leg.fail(error instanceof Error ? error.message : String(error));
    client.destroy();
  }
}
