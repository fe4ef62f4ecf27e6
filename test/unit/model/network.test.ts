import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  formatEgress,
  formatPort,
  isPublicAddress,
  isWithin,
  parseEgress,
  parsePort,
} from '../../../src/model/network.js';
import { isPublicAddress as isPublicToTheGateway } from '../../../src/guest/gateway/addresses.js';

describe('a port', () => {
  test.each([
    ['3000:3005', { hostAddress: '127.0.0.1', hostPort: 3000, containerPort: 3005 }],
    ['0:8080', { hostAddress: '127.0.0.1', hostPort: 0, containerPort: 8080 }],
    ['192.168.1.2:80:65535', { hostAddress: '192.168.1.2', hostPort: 80, containerPort: 65535 }],
  ])('%s', (text, port) => {
    expect(parsePort(text)).toEqual(port);
    expect(parsePort(formatPort(port))).toEqual(port);
  });

  test.each(
    '3000 3000: :3005 3000:0 3000:80 65536:3005 03000:3005 3000:3005/udp 3000-3001:3005 ::1:3000:3005 localhost:3000:3005 127.1:3000:3005 1.2.3.256:1:3005 +1:3005 1:2:3:4'.split(
      ' ',
    ),
  )('%s is none', (text) => expect(parsePort(text)).toBeUndefined());
});

describe('egress', () => {
  test.each([
    ['api.example.com:443', { name: 'api.example.com', port: 443, address: null }],
    ['db:5432=10.0.0.7', { name: 'db', port: 5432, address: '10.0.0.7' }],
    ['xn--bcher-kva.example:443', { name: 'xn--bcher-kva.example', port: 443, address: null }],
  ])('%s', (text, rule) => {
    expect(parseEgress(text)).toEqual(rule);
    expect(formatEgress(rule)).toBe(text);
  });

  test.each([
    ...'api.example.com api.example.com: :443 api.example.com:0 api.example.com:65536 api.example.com:0443'.split(
      ' ',
    ),
    ...'Api.example.com:443 api.example.com.:443 bücher.example:443 *.example.com:443 a_b:443 -a:443'.split(
      ' ',
    ),
    ...'10.0.0.1:443 2852039166:80 0xA9FEA9FE:80 0xa9fea9fe:80 a.0x7f:80 [::1]:443 169.254.169.254:80'.split(
      ' ',
    ),
    ...'a:443=127.0.0.1 a:443=0.0.0.0 a:443=224.0.0.1 a:443=10.1 a:443=010.0.0.1 a:443=::1 a:443=b a:443='.split(
      ' ',
    ),
    'https://a:443',
    'a:443 ',
    'a:443\n',
    `${'a'.repeat(64)}:443`,
  ])('%j is none', (text) => expect(parseEgress(text)).toBeUndefined());
});

test('what is public is the same to the policy and to the gateway', () => {
  for (const address of [
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '198.20.0.0',
  ])
    expect([address, isPublicAddress(address)]).toEqual([address, true]);
  for (const address of [
    '10.0.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.17.0.1',
    '100.64.0.1',
    '192.168.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '198.19.0.1',
  ])
    expect([address, isPublicAddress(address)]).toEqual([address, false]);
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(isPublicToTheGateway(address)).toBe(isPublicAddress(address));
    }),
  );
  expect(isPublicToTheGateway('::ffff:8.8.8.8')).toBe(false);
});

test('networks hold their addresses', () => {
  expect(isWithin('198.19.3.17', '198.19.3.16', 28)).toBe(true);
  expect(isWithin('198.19.3.32', '198.19.3.16', 28)).toBe(false);
  expect(isWithin('1.2.3.4', '0.0.0.0', 0)).toBe(true);
});
