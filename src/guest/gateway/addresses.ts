import { BlockList, isIPv4 } from 'node:net';

/** What is not the public internet: private, loopback, link-local, shared and reserved addresses (RFC 6890). */
const notPublic = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  notPublic.addSubnet(network, bits, 'ipv4');

/** Whether it is an IPv4 address of the public internet. */
export function isPublicAddress(address: string): boolean {
  return isIPv4(address) && !notPublic.check(address, 'ipv4');
}
