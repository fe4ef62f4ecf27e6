import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { Container } from 'dockerode';
import {
  attack,
  CannotBeTried,
  sealSandbox,
  untilPrinted,
  WITHOUT,
  type AttackSandbox,
  type Change,
} from '../support/attack.js';
import { cleanFolders } from '../support/world.js';

cleanFolders();
const execute = promisify(execFile);

/** Plays the metadata service: link-local as those are, but at an address that no cloud uses. */
const SUBNET = `169.254.${32 + randomInt(64)}`;
const METADATA = `${SUBNET}.1`;
const METADATA_SERVICES = ['169.254.169.254', '169.254.170.2', '100.100.100.200', 'fd00:ec2::254'];
const NETWORK6 = `fd5a:6a73:${randomBytes(2).toString('hex')}::`;

let sandbox: AttackSandbox;
let host: Server;
let port: number;
let connections = 0;
const networks: string[] = [];
const makeNetwork = async (...options: string[]): Promise<string> => {
  const name = `sjs-attack-${randomBytes(6).toString('hex')}`;
  networks.push(name);
  await execute('docker', ['network', 'create', ...options, name]);
  return name;
};

beforeAll(async () => {
  // On every address of the host, IPv6 and IPv4.
  host = createServer((socket) => {
    connections += 1;
    socket.end('host');
    socket.on('error', () => {});
  });
  host.listen(0);
  await once(host, 'listening');
  port = (host.address() as { port: number }).port;
  sandbox = await sealSandbox();
}, 120_000);
afterAll(async () => {
  host.close();
  for (const name of networks) await execute('docker', ['network', 'rm', name]);
});

/** What became of a TCP connection to each address: `connected` or the error's code. Gives up after two seconds. */
const connect = (addresses: readonly string[], to: number): string =>
  `Promise.all(${JSON.stringify(addresses)}.map((host) => new Promise((done) => {
    const socket = net.connect({ host, port: ${to} });
    socket.setTimeout(2000, () => { socket.destroy(); done('timeout') });
    socket.on('error', (error) => done(error.code)).on('connect', () => { socket.destroy(); done('connected') });
  })))`;
const INTERNET = `(async () => ({
  interfaces: Object.keys(os.networkInterfaces()),
  tcp: await ${connect(['1.1.1.1'], 443)},
  udp: await new Promise((done) => {
    const socket = require('dgram').createSocket('udp4');
    socket.send('x', 53, '8.8.8.8', (error) => { socket.close(); done(error ? error.code : 'sent') });
  }),
  dns: await new Promise((done) => require('dns').resolve('example.com', (error) => done(error ? error.code : 'resolved'))),
}))()`;
interface Internet {
  interfaces: string[];
  tcp: string[];
  udp: string;
  dns: string;
}
const in_ =
  (network: string): Change =>
  ({ HostConfig }) => {
    HostConfig.NetworkMode = network;
  };
const unique = (answers: readonly string[]): string => [...new Set(answers)].join(', ');
/** Loopback connects nowhere but to the sandbox itself, so nothing may connect at all. */
async function nothingConnects(addresses: readonly string[]): Promise<string> {
  const before = connections;
  const answers = await sandbox.ask<string[]>(connect(addresses, port));
  expect(answers).not.toContain('connected');
  expect(answers).not.toContain('timeout');
  expect(connections).toBe(before);
  return `${addresses.length} addresses: ${unique(answers)} at once; no connection was accepted`;
}

attack(
  'N01',
  async () => {
    const seen = await sandbox.ask<Internet>(INTERNET);
    expect(seen.interfaces).toEqual(['lo']);
    expect([...seen.tcp, seen.udp]).toEqual(['ENETUNREACH', 'ENETUNREACH']);
    expect(seen.dns).toBe('ECONNREFUSED');
    return `loopback alone; TCP and UDP ENETUNREACH, DNS ${seen.dns}`;
  },
  async () => {
    const seen = await sandbox.askWithout<Internet>(WITHOUT.isolation, INTERNET);
    expect(seen.interfaces).toContain('eth0');
    expect(seen.udp).toBe('sent');
    return `eth0; a UDP packet is sent, TCP: ${seen.tcp.join()}`;
  },
);

attack(
  'N02',
  async () => {
    expect(
      await sandbox.ask(`tries(() => fs.readFileSync('/proc/net/arp', 'utf8').trim().split('\\n').length)`),
    ).toBe(1);
    return nothingConnects([...METADATA_SERVICES, METADATA, 'metadata.google.internal']);
  },
  async () => {
    const network = await makeNetwork('--subnet', `${SUBNET}.0/24`, '--gateway', METADATA);
    expect(await sandbox.askWithout(in_(network), connect([METADATA], port))).toEqual(['connected']);
    return 'it answers';
  },
);

const hostAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address);

attack(
  'N03',
  () =>
    nothingConnects([
      ...hostAddresses(),
      '127.0.0.1',
      '::1',
      '172.17.0.1',
      'host.docker.internal',
      'fe80::1%eth0',
    ]),
  async () => {
    const addresses = hostAddresses().filter((address) => !address.includes(':'));
    const answers = await sandbox.askWithout<string[]>(WITHOUT.isolation, connect(addresses, port));
    const reached = addresses.filter((_, index) => answers[index] === 'connected');
    expect(reached).not.toEqual([]);
    return `the host accepts at ${reached.length} of ${addresses.length} addresses`;
  },
);

const LISTENER = `require('net').createServer((socket) => socket.end('other')).listen(8080, '0.0.0.0', () => console.log('up'))`;
/** The address of a container that listens, or `none`. */
async function listening(container: Container): Promise<string> {
  await untilPrinted(container, /up/);
  const { Networks } = (await container.inspect()).NetworkSettings;
  return Object.values(Networks)[0]?.IPAddress || 'none';
}

attack(
  'N04',
  () =>
    sandbox.beside(WITHOUT.nothing, LISTENER, async (other) => {
      expect(await listening(other)).toBe('none');
      const near = [
        '127.0.0.1',
        '::1',
        '0.0.0.0',
        ...Array.from({ length: 14 }, (_, index) => `172.17.0.${index + 2}`),
      ];
      const answers = await sandbox.ask<string[]>(connect(near, 8080));
      expect(answers).not.toContain('connected');
      return `the other has no address; ${near.length} guesses: ${unique(answers)}`;
    }),
  () =>
    sandbox.beside(WITHOUT.isolation, LISTENER, async (other) => {
      const address = await listening(other);
      expect(await sandbox.askWithout(WITHOUT.isolation, connect([address], 8080))).toEqual(['connected']);
      return `it answers at ${address}`;
    }),
);

attack(
  'N06',
  async () => {
    const addresses = await sandbox.ask<string[]>(
      `Object.values(os.networkInterfaces()).flat().filter(({ family }) => family === 'IPv6').map(({ address }) => address)`,
    );
    expect(addresses.filter((address) => address !== '::1')).toEqual([]);
    const six = hostAddresses().filter((address) => address.includes(':'));
    return nothingConnects([
      ...six,
      `${NETWORK6}1`,
      '::ffff:169.254.169.254',
      `::ffff:${METADATA}`,
      'ff02::1%lo',
    ]);
  },
  async () => {
    if (!existsSync('/proc/net/if_inet6')) throw new CannotBeTried('the host has no IPv6');
    const network = await makeNetwork('--ipv6', '--subnet', `${NETWORK6}/64`, '--gateway', `${NETWORK6}1`);
    // The kernel takes a moment to make sure that nobody else has the address.
    const patiently = `(async () => {
      for (let tries = 0; tries < 20; tries++) {
        if ((await ${connect([`${NETWORK6}1`], port)})[0] === 'connected') return 'connected';
        await new Promise((done) => setTimeout(done, 250));
      }
    })()`;
    expect(await sandbox.askWithout(in_(network), patiently)).toBe('connected');
    return 'the host accepts over IPv6';
  },
);

attack(
  'N08',
  () =>
    sandbox.beside(WITHOUT.nothing, LISTENER, async (container) => {
      expect(await listening(container)).toBe('none');
      const { NetworkSettings, HostConfig } = await container.inspect();
      expect([NetworkSettings.Ports, HostConfig.PortBindings, HostConfig.PublishAllPorts]).toEqual([
        {},
        {},
        false,
      ]);
      return 'it listens, where nobody is: no address, no port on the host';
    }),
  () =>
    sandbox.beside(WITHOUT.isolation, LISTENER, async (container) => {
      const address = await listening(container);
      const code = `require('net').connect(8080, '${address}').on('data', (text) => { console.log(String(text)); process.exit() })`;
      const { stdout } = await execute(process.execPath, ['-e', code], { timeout: 10_000 });
      expect(stdout).toBe('other\n');
      return `the host connects to ${address}:8080`;
    }),
);
