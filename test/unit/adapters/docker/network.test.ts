import { expect, test } from '@jest/globals';
import { hasIsolatedMode, networkAt, networkOptions } from '../../../../src/adapters/docker/network.js';

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
