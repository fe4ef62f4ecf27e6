import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { gatewayOptions, probeOptions } from '../../../../src/adapters/docker/helper-options.js';
import { choosePorts, explainTaken } from '../../../../src/adapters/docker/gateway.js';
import { hostAddresses } from '../../../../src/adapters/docker/host-addresses.js';
import { networkAt } from '../../../../src/adapters/docker/network.js';
import { sha256 } from '../../../../src/model/digest.js';
import type { Network } from '../../../../src/model/network.js';
import { makePlan } from '../../../support/engine-run.js';

const port = (hostPort: number, hostAddress = '127.0.0.1') => ({
  hostAddress,
  hostPort,
  containerPort: 3000,
});

test('of two that may be any port of one server each gets its own', () => {
  const bound = {
    '3000/tcp': ['8080', '32768', '32769', '32770'].map((HostPort) => ({
      HostIp: HostPort === '32770' ? '10.0.0.1' : '127.0.0.1',
      HostPort,
    })),
  };
  expect(choosePorts([port(0), port(8080), port(0), port(0, '10.0.0.1')], bound)).toEqual([
    port(32768),
    port(8080),
    port(32769),
    port(32770, '10.0.0.1'),
  ]);
});

describe('a port that somebody has', () => {
  const network = {
    mode: 'isolated',
    egress: [],
    ports: [port(80), port(8080), port(80, '10.0.0.1')],
  } as const;
  const named = (words: string): unknown => explainTaken(new Error(words), { network });

  test.each([
    ['Bind for 127.0.0.1:8080 failed: port is already allocated', '127.0.0.1:8080'],
    ['Bind for 10.0.0.1:80 failed: port is already allocated', '10.0.0.1:80'],
    ['listen tcp4 127.0.0.1:80: bind: address already in use', '127.0.0.1:80'],
  ])('is named: %s', (words, place) => {
    expect(named(words)).toMatchObject({
      code: 'PORT_TAKEN',
      message: `${place} is taken by another program`,
    });
  });

  test('is not read into other words', () => {
    expect(named('no such image')).toMatchObject({ message: 'no such image' });
  });
});

test('the public addresses of this machine are known, of an engine on it', () => {
  const interfaces = {
    lo: [{ family: 'IPv4', address: '127.0.0.1' }],
    eth0: [
      { family: 'IPv4', address: '192.168.1.2' },
      { family: 'IPv6', address: '2606:4700::1' },
      { family: 'IPv4', address: '8.8.4.4' },
    ],
  };
  const unix = { kind: 'unix', socketPath: '/run/docker.sock' } as const;
  expect(hostAddresses({ endpoint: unix }, interfaces)).toEqual(['8.8.4.4']);
  const elsewhere = { kind: 'tls', host: 'engine.test', port: 2376, caFile: '', certFile: '', keyFile: '' };
  expect(hostAddresses({ endpoint: elsewhere as never }, interfaces)).toEqual([]);
});

describe('what the engine is asked for', () => {
  const owner = { bootId: 'boot', pid: 42, startTime: '4242', home: '/home/u' };
  const gateway = { seal: sha256('g'), imageId: 'sha256:g', user: '70000:70000', command: ['node', 'g.js'] };
  const declared: Network = {
    mode: 'isolated',
    ports: [],
    egress: [{ name: 'a.test', port: 443, address: null }],
  };
  const plan = makePlan('sha256:p', readFileSync('policies/seccomp.json', 'utf8'), {
    network: declared,
    gateway,
    isImported: true,
  });
  const network = networkAt('A', 0);

  test('the probe has the Node of the gateway, and else that of the sandbox', () => {
    const options = (of: typeof plan) => probeOptions('A-probe', owner, of, network, '', []);
    expect(options(plan)).toMatchObject({ Image: 'sha256:g', User: '70000:70000', Env: [] });
    expect(options({ ...plan, gateway: null })).toMatchObject({ Image: 'sha256:p', User: '65532:65532' });
  });

  test('the gateway knows the addresses of this machine', () => {
    const { Cmd } = gatewayOptions('A', owner, plan, gateway, network, ['8.8.4.4']);
    expect(JSON.parse((Cmd as string[])[0]!)).toMatchObject({ host: ['8.8.4.4'] });
  });
});
