import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { NetworkCreateOptions } from 'dockerode';
import { SjsError } from '../../errors.js';
import { isWithin } from '../../model/network.js';
import type { Owner } from '../../ports/engine.js';
import { SLOW_CALL_MS, type DockerClient } from './client.js';
import { statusOf } from './engine-error.js';
import { networkName, ownerLabels } from './owner-labels.js';

/**
 * Where the networks of runs lie: 4096 of 16 addresses each, in a range that is set aside for tests between networks
 * (RFC 2544) and so is nowhere in use. Docker's own pools end near 30 networks.
 */
const RANGE = { network: '198.19.0.0', bits: 16 } as const;
const SUBNET_BITS = 28;
const SUBNETS = 2 ** (SUBNET_BITS - RANGE.bits);
/** With 1000 networks in use, one in 10^24 tries would end without a free one. */
const TRIES = 40;

/** One network of a run: nobody is on it but the sandbox and its gateway. */
export interface RunNetwork {
  readonly name: string;
  /** The first address, and the prefix length. */
  readonly subnet: string;
  readonly gatewayAddress: string;
  readonly sandboxAddress: string;
}

/**
 * Makes the network of a run. It has no route, and the host has no address on it: `inhibit_ipv4` before Engine 28, from
 * then on the gateway mode `isolated`, which 26 accepts and ignores (FACTS); a probe shows that it is so.
 * @param engineVersion as the engine says it
 */
export async function createRunNetwork(
  client: DockerClient,
  runId: string,
  owner: Owner,
  engineVersion: string,
  abort?: AbortSignal,
): Promise<RunNetwork> {
  const taken = client.endpoint.kind === 'unix' ? hostNetworks() : [];
  for (let attempt = 1; ; attempt += 1) {
    const network = pickNetwork(runId, taken);
    const options = networkOptions(runId, owner, network, engineVersion);
    try {
      const create = () => client.docker.createNetwork(options);
      await client.call('create the network', SLOW_CALL_MS, create, abort);
      return network;
    } catch (error) {
      if (!isOverlap(error)) throw error;
      if (attempt === TRIES) throw noneFree('other networks of the engine', error);
    }
  }
}

/**
 * A network of our range, at random, that none of the others overlaps.
 * @param taken as `address/bits`
 * @throws SjsError `ENGINE_FAILED` when none is found
 */
export function pickNetwork(runId: string, taken: readonly string[]): RunNetwork {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const network = networkAt(runId, randomInt(SUBNETS));
    if (!taken.some((other) => overlaps(network.subnet, other))) return network;
  }
  const whole = `${RANGE.network}/${RANGE.bits}`;
  throw noneFree(`routes of this machine (${taken.filter((other) => overlaps(whole, other)).join(', ')})`);
}

const noneFree = (whose: string, cause?: unknown): SjsError =>
  new SjsError(
    'ENGINE_FAILED',
    `there is no free network for the run: ${whose} cover ${RANGE.network}/${RANGE.bits}`,
    {
      cause,
      next: 'take them out of that range (`ip route`, `docker network ls`), or use network: { mode: none }',
    },
  );

/** The addresses of the subnet with that number: 1 stays Docker's, 2 is the gateway's, 3 the sandbox's. Pure. */
export function networkAt(runId: string, number: number): RunNetwork {
  const [a, b] = RANGE.network.split('.');
  const prefix = `${a}.${b}.${Math.floor(number / 16)}`;
  const first = (number % 16) * 16;
  return {
    name: networkName(runId),
    subnet: `${prefix}.${first}/${SUBNET_BITS}`,
    gatewayAddress: `${prefix}.${first + 2}`,
    sandboxAddress: `${prefix}.${first + 3}`,
  };
}

/** What the engine is asked for. Pure. */
export function networkOptions(
  runId: string,
  owner: Owner,
  { name, subnet }: RunNetwork,
  engineVersion: string,
): NetworkCreateOptions {
  const isolation: Record<string, string> = hasIsolatedMode(engineVersion)
    ? {
        'com.docker.network.bridge.gateway_mode_ipv4': 'isolated',
        'com.docker.network.bridge.gateway_mode_ipv6': 'isolated',
      }
    : { 'com.docker.network.bridge.inhibit_ipv4': 'true' };
  return {
    Name: name,
    Driver: 'bridge',
    Internal: true,
    Attachable: false,
    EnableIPv6: false,
    IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
    Options: isolation,
    Labels: ownerLabels(runId, owner),
  };
}

/** The gateway mode `isolated` works from Engine 28 on. */
export function hasIsolatedMode(engineVersion: string): boolean {
  return Number(/^\d+/.exec(engineVersion)?.[0] ?? 0) >= 28;
}

/** 403 since Engine 20; the words stand for engines that answer otherwise. */
function isOverlap(error: unknown): boolean {
  return statusOf(error) !== null && error instanceof SjsError && /overlap/i.test(error.message);
}

/** Networks that the host has routes to, as `address/bits`: of a local engine only, another's cannot be seen. */
function hostNetworks(): string[] {
  let table: string;
  try {
    table = readFileSync('/proc/net/route', 'utf8');
  } catch {
    return [];
  }
  return parseRoutes(table);
}

/** A route that leads further is like a default route: VPNs write theirs as 0.0.0.0/1 and 128.0.0.0/1. */
const LEAST_BITS = 8;

/** The networks of a table like /proc/net/route, without what is like a default route. Pure. */
export function parseRoutes(table: string): string[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.split(/\s+/);
      const [destination, mask] = [fields[1], fields[7]].map(fromHex);
      if (destination === undefined || mask === undefined) return [];
      const bits = mask.flatMap((byte) => [...byte.toString(2)]).filter((bit) => bit === '1').length;
      return bits < LEAST_BITS ? [] : [`${destination.join('.')}/${bits}`];
    });
}

/** The kernel writes addresses as little-endian words there. */
function fromHex(text: string | undefined): number[] | undefined {
  if (text === undefined || !/^[0-9A-F]{8}$/.test(text)) return undefined;
  return [3, 2, 1, 0].map((at) => parseInt(text.slice(at * 2, at * 2 + 2), 16));
}

/** Whether two networks have an address in common: then the larger one holds the smaller. */
export function overlaps(one: string, other: string): boolean {
  const [a = '', aBits = ''] = one.split('/');
  const [b = '', bBits = ''] = other.split('/');
  const bits = Math.min(Number(aBits), Number(bBits));
  return isWithin(a, b, bits);
}
