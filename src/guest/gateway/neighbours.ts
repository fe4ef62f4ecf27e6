/** The network that leads out, as `os.networkInterfaces` has it. */
interface Outside {
  readonly address: string;
  readonly cidr: string | null;
}

/**
 * Whether an address is another container's on the network that leads out. The host is none: it is where the default
 * route leads, whichever address of the network that is.
 * @param router see {@link findRouter}
 */
export function isNeighbour(address: string, outside: Outside | undefined, router: string | null): boolean {
  if (!outside?.cidr) return false;
  const size = 2 ** (32 - Number(outside.cidr.split('/')[1]));
  const network = (of: string): number => Math.floor(toNumber(of) / size);
  return network(address) === network(outside.address) && address !== router;
}

const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** Where the default route of a table like /proc/net/route leads; null without one. */
export function findRouter(table: string): string | null {
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/));
  const [, , router = ''] = rows.find(([, to, , , , , , mask]) => to === NOWHERE && mask === NOWHERE) ?? [];
  // A little-endian word.
  return /^[0-9A-F]{8}$/.test(router) ? [...Buffer.from(router, 'hex')].reverse().join('.') : null;
}

const NOWHERE = '00000000';
