import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect as connectTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { readServerName } from '../../../src/guest/gateway/client-hello.js';
import { createDoors } from '../../../src/guest/gateway/doors.js';
import { recognize } from '../../../src/guest/gateway/first-bytes.js';
import { Head, type Beginning } from '../../../src/guest/gateway/head.js';
import { answerQuery, readQuery } from '../../../src/guest/gateway/name-query.js';
import { createNameServer } from '../../../src/guest/gateway/serve-names.js';
import { findRouter, isNeighbour } from '../../../src/guest/gateway/neighbours.js';
import { Report } from '../../../src/guest/gateway/report.js';
import { createRoute } from '../../../src/guest/gateway/route.js';
import { Turns } from '../../../src/guest/gateway/turns.js';
import { helloOf, inRecords, withExtension } from '../../support/client-hello.js';

describe('a TLS hello', () => {
  test('names its server, however it is cut', async () => {
    const hello = await helloOf('api.example.com');
    expect(recognize(hello)).toBe('tls');
    expect(readServerName(hello)).toEqual({ kind: 'name', name: 'api.example.com' });
    for (const size of [1, 7, 100]) {
      expect(readServerName(inRecords(hello, size))).toEqual({ kind: 'name', name: 'api.example.com' });
    }
    for (let length = 0; length < hello.length; length += 1)
      expect(readServerName(hello.subarray(0, length))).toMatchObject({ kind: 'more' });
  });

  test.each([1, 7, 100])(
    'in records of %i bytes is looked at a few times, byte by byte as it may come',
    async (size) => {
      const bytes = inRecords(await helloOf('a'.repeat(60)), size);
      let looks = 0;
      for (let have = 0; ; looks += 1) {
        const hello = readServerName(bytes.subarray(0, have));
        if (hello.kind !== 'more') {
          expect(hello).toEqual({ kind: 'name', name: 'a'.repeat(60) });
          break;
        }
        expect(hello.need).toBeGreaterThan(have);
        expect(hello.need).toBeLessThanOrEqual(bytes.length);
        have = hello.need;
      }
      expect(looks).toBeLessThan(60);
    },
  );

  test('without a name, with an encrypted one, or with two, is refused', async () => {
    expect(readServerName(await helloOf(undefined))).toEqual({ kind: 'refused', reason: 'no server name' });
    const hello = await helloOf('api.example.com');
    for (const type of [0xfe0d, 0xffce]) {
      expect(readServerName(withExtension(hello, type, Buffer.alloc(8)))).toEqual({
        kind: 'refused',
        reason: 'an encrypted server name',
      });
    }
    const name = Buffer.from('\0\x0c\0\0\x09evil.test', 'latin1');
    expect(readServerName(withExtension(hello, 0, name))).toEqual({
      kind: 'refused',
      reason: 'several server names',
    });
  });

  test('that is broken is refused, and never throws', async () => {
    const hello = await helloOf('api.example.com');
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const broken = Buffer.from(hello);
        broken[at] = value;
        expect(['more', 'name', 'refused']).toContain(readServerName(broken).kind);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['more', 'name', 'refused']).toContain(readServerName(Buffer.from(bytes)).kind);
      }),
    );
  });
});

test.each([
  ['', 'more'],
  ['GE', 'more'],
  ['GET / HTTP/1.1\r\n', 'http'],
  ['OPTIONS * HTTP/1.0\r\nHost: a', 'http'],
  ['get / HTTP/1.1\r\n', 'broken'],
  ['GET / http/1.1\r\n', 'broken'],
  ['GET  / HTTP/1.1\r\n', 'broken'],
  ['GET / HTTP/1.1\n', 'broken'],
  ['PRI * HTTP/2.0\r\n', 'broken'],
  ['EHLO me\r\n', 'other'],
  ['\0\x01', 'other'],
  ['\x16', 'more'],
  ['\x16\x03', 'tls'],
  ['\x16\x02', 'other'],
  // Servers pass over empty lines: what follows them is what they read.
  ['\r\n', 'more'],
  ['\r\n\nGET / HTTP/1.1\r\n', 'broken'],
  ['\n\x16\x03', 'broken'],
  ['\r\nEHLO me\r\n', 'other'],
  ['\n'.repeat(20_000), 'broken'],
  ['a'.repeat(20_000), 'broken'],
])('%j begins as %s', (text, protocol) => expect(recognize(Buffer.from(text, 'latin1'))).toBe(protocol));

describe('the first bytes', () => {
  const readAll = (bytes: Buffer, size: number): Beginning[] => {
    const head = new Head();
    const said: Beginning[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      said.push(head.add(bytes.subarray(at, at + size)));
      if (said.at(-1)?.kind !== 'more') break;
    }
    return said;
  };

  test.each([1, 3, 1000])('say the same in pieces of %i bytes', async (size) => {
    const hello = await helloOf('api.example.com');
    for (const [bytes, last] of [
      [hello, { kind: 'tls', name: 'api.example.com' }],
      [inRecords(hello, 9), { kind: 'tls', name: 'api.example.com' }],
      [await helloOf(undefined), { kind: 'refused', reason: 'no server name' }],
      [Buffer.from('GET /a HTTP/1.1\r\nHost: a\r\n\r\n'), { kind: 'http' }],
      [Buffer.from('EHLO me\r\n'), { kind: 'other' }],
      [Buffer.from('\0ping'), { kind: 'other' }],
      [Buffer.from('\x16A'), { kind: 'other' }],
      [Buffer.from('\r\n\r\nGET / HTTP/1.1\r\n'), { kind: 'broken' }],
      [Buffer.alloc(100, '\n'), { kind: 'broken' }],
      [Buffer.alloc(20_000, 'a'), { kind: 'broken' }],
    ] as const)
      expect([size, readAll(bytes, size).at(-1)]).toEqual([size, last]);
  });

  test('are all kept, and no more of them than a hello has', () => {
    const record = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff]), Buffer.alloc(16382)]);
    const hello = Buffer.concat(Array.from({ length: 5 }, () => record));
    const head = new Head();
    let last: Beginning = { kind: 'more' };
    for (let at = 0; last.kind === 'more'; at += 100) last = head.add(hello.subarray(at, at + 100));
    expect(last).toEqual({ kind: 'refused', reason: 'a TLS hello that is too long' });
    expect(head.length).toBeLessThan(66_000);
    expect(head.bytes()).toEqual(hello.subarray(0, head.length));
  });
});

describe('a neighbour', () => {
  /** Of a network with its host at 172.17.0.254. */
  const routes = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    'eth0\t00000000\tFE0011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    '',
  ].join('\n');
  const outside = { address: '172.17.0.2', cidr: '172.17.0.2/16' };

  test('is everybody on the network but the host, wherever that is', () => {
    const router = findRouter(routes);
    expect(router).toBe('172.17.0.254');
    expect(isNeighbour('172.17.0.254', outside, router)).toBe(false);
    expect(isNeighbour('172.17.0.1', outside, router)).toBe(true);
    expect(isNeighbour('172.17.255.1', outside, router)).toBe(true);
    expect(isNeighbour('172.18.0.1', outside, router)).toBe(false);
    expect(isNeighbour('8.8.8.8', outside, router)).toBe(false);
  });

  test('is everybody when there is no way out', () => {
    expect(findRouter('')).toBeNull();
    expect(isNeighbour('172.17.0.1', outside, null)).toBe(true);
  });
});

describe('a declared name', () => {
  const rule = (name: string, address: string | null = null) => ({ name, port: 80, address });
  const routeTo = (...addresses: string[]) =>
    createRoute([rule('a.test'), rule('pinned.test', '8.8.4.4')], ['8.8.4.4'], () =>
      Promise.resolve(addresses.map((address) => ({ address }))),
    );

  test('leads to all its addresses', async () => {
    await expect(routeTo('8.8.8.8', '1.1.1.1')('a.test', 80)).resolves.toEqual({
      addresses: ['8.8.8.8', '1.1.1.1'],
      port: 80,
    });
  });

  test.each([
    [['8.8.8.8', '10.0.0.1'], '10.0.0.1, which is no public address'],
    [['8.8.8.8', '8.8.4.4'], '8.8.4.4, which is an address of this machine'],
  ])('that has %j does not lead anywhere', async (addresses, words) => {
    await expect(routeTo(...addresses)('a.test', 80)).rejects.toThrow(words);
  });

  test('leads where it is pinned, which the policy allowed', async () => {
    const { addresses } = await routeTo()('pinned.test', 80);
    expect(addresses).toEqual(['8.8.4.4']);
    await expect(routeTo()('pinned.test', 81)).rejects.toThrow('not declared');
  });
});

test('those who come in take no place of those who go out', async () => {
  const said: string[] = [];
  const report = new Report(100, (message) => {
    const { connection } = message as { connection: { direction: string; reason: string } };
    said.push(`${connection.direction}: ${connection.reason}`);
  });
  const doors = createDoors(report, 1);
  const taken: string[] = [];
  const openDoor = (direction: 'in' | 'out') =>
    doors.open(direction, 0, '127.0.0.1', () => void taken.push(direction));
  const servers = await Promise.all((['in', 'out'] as const).map((direction) => openDoor(direction)));
  const clients: Socket[] = [];
  const enter = async (server: Server): Promise<Socket> => {
    const client = connectTcp({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    clients.push(client);
    client.on('error', () => undefined);
    await once(server, 'connection');
    return client;
  };
  const [inward, outward] = servers as [Server, Server];
  await enter(inward);
  await enter(inward);
  await enter(outward);
  expect(taken).toEqual(['in', 'out']);
  expect(said).toEqual(['in: too many connections at a time']);
  for (const client of clients) client.destroy();
  for (const server of servers) server.close();
  doors.finish();
});

describe('a DNS query', () => {
  const query = (name: string, type = 1): Buffer =>
    Buffer.concat([
      Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      ...name
        .split('.')
        .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')),
      Buffer.from([0, 0, type, 0, 1]),
    ]);

  test('is read and answered', () => {
    const found = readQuery(query('api.example.com'));
    expect(found).toMatchObject({ name: 'api.example.com', wantsAddress: true });
    const answer = answerQuery(found!, '10.1.2.3');
    expect(answer.readUInt16BE(0)).toBe(0x1234);
    expect(answer.readUInt16BE(2)).toBe(0x8580);
    expect(answer.readUInt16BE(6)).toBe(1);
    expect([...answer.subarray(-4)]).toEqual([10, 1, 2, 3]);
    expect(answerQuery(found!, 'no-such-name').readUInt16BE(2) & 15).toBe(3);
    expect(readQuery(query('api.example.com', 28))).toMatchObject({ wantsAddress: false });
  });

  test('for what is not declared is told once, and counted when no more are told', () => {
    const told: { readonly connection?: { readonly name: string }; readonly omitted?: number }[] = [];
    const report = new Report(100, (message) => void told.push(message));
    const answer = createNameServer(new Set(['a.test']), '10.1.2.3', report, 2);
    for (const name of ['a.test', 'b.test', 'b.test', 'c.test', 'd.test', 'e.test']) answer(query(name));
    report.end();
    expect(told.map(({ connection, omitted }) => connection?.name ?? omitted)).toEqual([
      'b.test',
      'c.test',
      2,
    ]);
    expect([...answer(query('a.test'))!.subarray(-4)]).toEqual([10, 1, 2, 3]);
    expect(answer(Buffer.from('none'))).toBeNull();
  });

  test('that is none is passed over', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const found = readQuery(Buffer.from(bytes));
        if (found) expect(answerQuery(found, 'none').length).toBeGreaterThan(16);
      }),
    );
    expect(readQuery(query('a').subarray(0, 15))).toBeNull();
  });
});

describe('turns', () => {
  test('come at once after a pause, then at their rate, and a pause saves no more than that', () => {
    const turns = new Turns(100, 3);
    expect([0, 0, 0, 0, 0].map((now) => turns.take(now))).toEqual([0, 0, 0, 10, 20]);
    expect(turns.take(25)).toBe(5);
    expect([1e6, 1e6, 1e6, 1e6].map((now) => turns.take(now))).toEqual([0, 0, 0, 10]);
  });

  test('never begin more than the first ones and the rate of the time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 200 }), (pauses) => {
        const turns = new Turns(100, 10);
        let now = 0;
        const begun = pauses.map((pause) => (now += pause) + turns.take(now));
        for (const [index, from] of begun.entries())
          expect(begun.slice(index).filter((at) => at < from + 500).length).toBeLessThanOrEqual(10 + 50);
      }),
    );
  });
});
