import { networkInterfaces } from 'node:os';
import { isPublicAddress } from '../../model/network.js';
import type { DockerClient } from './client.js';

/** An interface as `os.networkInterfaces` has it. */
type Interfaces = NodeJS.Dict<readonly { readonly family: string; readonly address: string }[]>;

/**
 * Public IPv4 addresses of this machine: what listens there is often kept from the world by a firewall further out,
 * which a gateway would stand behind. None for an engine elsewhere, whose addresses cannot be seen.
 */
export function hostAddresses(
  { endpoint }: Pick<DockerClient, 'endpoint'>,
  interfaces: Interfaces = networkInterfaces(),
): string[] {
  if (endpoint.kind !== 'unix') return [];
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, address }) => family === 'IPv4' && isPublicAddress(address))
    .map(({ address }) => address);
}
