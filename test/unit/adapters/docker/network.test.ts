import { expect, test } from '@jest/globals';
import {
  hasIsolatedMode,
  networkAt,
  networkOptions,
  overlaps,
  parseRoutes,
  pickNetwork,
} from '../../../../src/adapters/docker/network.js';

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n';
/** 0.0.0.0/0, 0.0.0.0/1, 128.0.0.0/1, 10.8.0.0/24, 198.18.0.0/15 */
const ROUTES = {
  default: 'eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n',
  lowerHalf: 'tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\n',
  upperHalf: 'tun0\t00000080\t0100080A\t0003\t0\t0\t0\t00000080\n',
  tunnel: 'tun0\t0000080A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n',
  ours: 'eth1\t000012C6\t00000000\t0001\t0\t0\t0\t0000FEFF\n',
} as const;

test('a VPN that takes all traffic is no reason to have no network', () => {
  const taken = parseRoutes(HEAD + ROUTES.default + ROUTES.lowerHalf + ROUTES.upperHalf + ROUTES.tunnel);
  expect(taken).toEqual(['10.8.0.0/24']);
  expect(pickNetwork('A', taken).subnet).toMatch(/^198\.19\.\d+\.\d+\/28$/);
});

test('a machine with routes to the whole range is refused: the run would cut one of them off', () => {
  expect(() => pickNetwork('A', parseRoutes(HEAD + ROUTES.ours))).toThrow(
    expect.objectContaining({
      code: 'ENGINE_FAILED',
      message: expect.stringContaining('198.18.0.0/15'),
      next: expect.stringContaining('ip route'),
    }),
  );
});

test('what is taken is not chosen', () => {
  const taken = ['198.19.0.0/17', '198.19.192.0/18'];
  for (let at = 0; at < 50; at += 1) {
    const { subnet } = pickNetwork('A', taken);
    expect(taken.filter((other) => overlaps(subnet, other))).toEqual([]);
  }
});

const PREFIX = 'com.docker.network.bridge.';
const ISOLATED = { [`${PREFIX}gateway_mode_ipv4`]: 'isolated', [`${PREFIX}gateway_mode_ipv6`]: 'isolated' };
const INHIBITED = { [`${PREFIX}inhibit_ipv4`]: 'true' };

test.each([
  ['28.0.0', ISOLATED],
  ['28.5.2+dfsg3', ISOLATED],
  ['29.6.0', ISOLATED],
  ['100.1.0', ISOLATED],
  // They accept the gateway mode and ignore it, or do not know it.
  ['27.5.1', INHIBITED],
  ['26.1.5+dfsg1', INHIBITED],
  ['20.10.24', INHIBITED],
  // What says nothing that can be read is asked for what all of them know; the probe shows what came of it.
  ['strange', INHIBITED],
  ['', INHIBITED],
])('engine %s is asked for an internal network without an address of the host', (version, isolation) => {
  const owner = { bootId: 'b', pid: 7, startTime: '9', home: '/h' };
  const network = networkAt('01JD0000000000000000000000', 17);
  const options = networkOptions('01JD0000000000000000000000', owner, network, version);
  // The whole of them: one kind of engine may refuse what another needs.
  expect(options.Options).toEqual(isolation);
  expect(options).toMatchObject({
    Driver: 'bridge',
    Internal: true,
    Attachable: false,
    EnableIPv6: false,
    IPAM: { Config: [{ Subnet: '198.19.1.16/28' }] },
  });
  expect(hasIsolatedMode(version)).toBe(isolation === ISOLATED);
});
