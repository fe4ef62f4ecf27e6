/** A port of the sandbox that is published on the host. */
export interface PublishedPort {
  /** IPv4 address of the host; 127.0.0.1 when none is written. */
  readonly hostAddress: string;
  /** 0: any that is free. */
  readonly hostPort: number;
  readonly containerPort: number;
}

/** One name that a sandbox may connect to. */
export interface EgressRule {
  readonly name: string;
  readonly port: number;
  /** IPv4 address that is connected to instead of what the name resolves to; null without one. */
  readonly address: string | null;
}

/** The network of a sandbox (SPEC §3). */
export type Network =
  | { readonly mode: 'none' }
  | {
      readonly mode: 'isolated';
      readonly ports: readonly PublishedPort[];
      readonly egress: readonly EgressRule[];
    };

/** The modes there are. */
export const NETWORK_MODES = ['none', 'isolated'] as const satisfies readonly Network['mode'][];

/** Declarations of each kind at most. */
export const MOST_DECLARED = 64;

/** Programs in a sandbox cannot listen below: low ports belong to root there (ATTACKS c). */
export const LOWEST_CONTAINER_PORT = 1024;

/** Whether traffic of this network is carried by a gateway. */
export function needsGateway(network: Network): boolean {
  return network.mode === 'isolated' && network.ports.length + network.egress.length > 0;
}

/** `HOST:CONTAINER` or `ADDRESS:HOST:CONTAINER`; undefined for anything else. */
export function parsePort(text: string): PublishedPort | undefined {
  const parts = text.split(':');
  if (parts.length !== 2 && parts.length !== 3) return undefined;
  const hostAddress = parts.length === 3 ? parseAddress(parts[0] ?? '') : '127.0.0.1';
  const [hostPort, containerPort] = parts.slice(-2).map(parseNumber);
  if (hostAddress === undefined || hostPort === undefined || containerPort === undefined) return undefined;
  if (containerPort < LOWEST_CONTAINER_PORT) return undefined;
  return { hostAddress, hostPort, containerPort };
}

/**
 * `name:port`, or `name:port=address` which pins an IPv4 address; undefined for anything else. Names are written as
 * they are compared: lower case, in ASCII, without a trailing dot, and never an address in any spelling.
 */
export function parseEgress(text: string): EgressRule | undefined {
  const match = /^([^:=]+):([^:=]+)(?:=([^:=]+))?$/.exec(text);
  const [, name = '', portText = '', pinned] = match ?? [];
  const port = parseNumber(portText);
  if (!isHostName(name) || port === undefined || port === 0) return undefined;
  if (pinned === undefined) return { name, port, address: null };
  const address = parseAddress(pinned);
  return address === undefined || isNowhere(address) ? undefined : { name, port, address };
}

/** The declaration as it is written in sandbox.yaml. */
export function formatEgress({ name, port, address }: EgressRule): string {
  return `${name}:${port}${address === null ? '' : `=${address}`}`;
}

/** The declaration as it is written in sandbox.yaml, the address always with it. */
export function formatPort({ hostAddress, hostPort, containerPort }: PublishedPort): string {
  return `${hostAddress}:${hostPort}:${containerPort}`;
}

/** An ASCII host name in lower case. A last label of digits, or 0x…, makes it an address to URL parsers. */
function isHostName(text: string): boolean {
  const labels = text.split('.');
  return (
    text.length <= 253 &&
    labels.every((label) => /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(label)) &&
    !/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
  );
}

function parseNumber(text: string): number | undefined {
  const value = /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : NaN;
  return value <= 65535 ? value : undefined;
}

/** Four decimal numbers without leading zeros: other spellings mean different things to different parsers. */
function parseAddress(text: string): string | undefined {
  const parts = text.split('.');
  const isAddress =
    parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);
  return isAddress ? text : undefined;
}

/** Loopback, unspecified, multicast and reserved addresses: nothing that a gateway could connect to is there. */
function isNowhere(address: string): boolean {
  const first = Number(address.split('.')[0]);
  return first === 0 || first === 127 || first >= 224;
}

/** First address and prefix length of what is not the public internet (RFC 6890). The gateway has the same list. */
const NOT_PUBLIC: readonly (readonly [string, number])[] = [
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
];

/** Whether an IPv4 address is one of the public internet: not private, loopback, link-local, shared or reserved. */
export function isPublicAddress(address: string): boolean {
  return !NOT_PUBLIC.some(([network, bits]) => isWithin(address, network, bits));
}

/** Whether an IPv4 address lies in a network, given by its first address and prefix length. */
export function isWithin(address: string, network: string, bits: number): boolean {
  const size = 2 ** (32 - bits);
  return Math.floor(toNumber(address) / size) === Math.floor(toNumber(network) / size);
}

/** An IPv4 address as a number, for comparing and counting. */
function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
