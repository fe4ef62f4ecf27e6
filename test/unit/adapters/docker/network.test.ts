import { expect, test } from '@jest/globals';
import { overlaps, parseRoutes, pickNetwork } from '../../../../src/adapters/docker/network.js';

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
