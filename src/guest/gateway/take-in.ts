import { networkInterfaces } from 'node:os';
import { connectTo, join, type Flow } from './flow.js';

/** One connection from outside to a published port. */
export async function takeIn(flow: Flow, port: number, sandbox: string, outside: Outside): Promise<void> {
  const { client } = flow;
  const from = client.remoteAddress ?? '';
  flow.address = from;
  if (isNeighbour(from, outside)) return flow.block('from a neighbour on the network that leads out');
  try {
    join(client, await connectTo([sandbox], port));
    client.resume();
  } catch (error) {
    flow.failure = error instanceof Error ? error.message : String(error);
    client.destroy();
  }
}

/** The network that leads out: where the gateway's own address there is, and its size. */
export type Outside = { readonly address: string; readonly cidr: string | null } | undefined;

/** The network that leads out, told by not being the run's. */
export function findOutside(inside: string): Outside {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal, address }) => family === 'IPv4' && !internal && address !== inside);
}

const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** Other containers on that network: the host itself, whose address is its first, is none. */
function isNeighbour(address: string, outside: Outside): boolean {
  if (!outside?.cidr) return false;
  const size = 2 ** (32 - Number(outside.cidr.split('/')[1]));
  const network = Math.floor(toNumber(outside.address) / size) * size;
  const offset = toNumber(address) - network;
  return offset >= 0 && offset < size && offset !== 1;
}
