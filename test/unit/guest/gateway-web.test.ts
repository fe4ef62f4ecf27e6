import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Flow } from '../../../src/guest/gateway/flow.js';
import { Report, type Connection } from '../../../src/guest/gateway/report.js';
import { Refused } from '../../../src/guest/gateway/route.js';
import { createWebServer } from '../../../src/guest/gateway/web.js';
import { until } from '../../support/until.js';

/** Written with the port that is listened at. */
const HOST = 'Host: api.test';
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: evil.test\r\n\r\n';

const said: Pick<Connection, 'name' | 'address' | 'verdict' | 'reason' | 'sentBytes' | 'receivedBytes'>[] =
  [];
/** Where api.test leads. */
let addresses: readonly string[];
const sockets = new Set<Socket>();
let answer: string;
/** All that the declared server was sent. */
let heard: string;
let origin: Server;
let gateway: Server;

beforeAll(async () => {
  const web = createWebServer(() => Promise.resolve());
  const report = new Report(100, (message) => {
    said.push((message as { connection: (typeof said)[number] }).connection);
  });
  origin = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      heard += text;
      for (let at = 1; at < text.split('\r\n\r\n').length; at += 1)
        socket.write(Buffer.from(answer, 'latin1'));
    });
  });
  gateway = createServer({ allowHalfOpen: true }, (client) => {
    sockets.add(client);
    const { port } = origin.address() as AddressInfo;
    web.take(new Flow(client, 'out', port, report), Buffer.alloc(0), (name) =>
      ['api.test', 'other.test'].includes(name)
        ? Promise.resolve({ addresses, port })
        : Promise.reject(new Refused('not declared')),
    );
  });
  for (const server of [origin, gateway]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  origin.close();
  gateway.close();
});
beforeEach(() => {
  heard = '';
  said.length = 0;
  addresses = ['127.0.0.1'];
  answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
});

/** What comes back for these pieces, the next one sent when something has come back for the one before. */
async function send(...pieces: string[]): Promise<{ text: () => string; socket: Socket }> {
  const { port } = gateway.address() as AddressInfo;
  const own = `api.test:${port}`;
  const socket = connect({ host: '127.0.0.1', port });
  sockets.add(socket);
  let text = '';
  socket.on('error', () => undefined).on('data', (data) => (text += data.toString('latin1')));
  for (const piece of pieces) {
    const before = text.length;
    if (!socket.destroyed)
      socket.write(piece.replaceAll(HOST, `Host: ${own}`).replaceAll(/(evil|other)\.test/g, `$&:${port}`));
    await until('an answer', () => Promise.resolve(text.length > before || socket.destroyed));
  }
  return { text: () => text, socket };
}

const OTHER = 'GET /other HTTP/1.1\r\nHost: other.test\r\n\r\n';
const API = `GET /api HTTP/1.1\r\n${HOST}\r\n\r\n`;
const told = (count: number) => until('the record', () => Promise.resolve(said.length >= count));

test('every name that one connection led to is told, with what was sent to it', async () => {
  const { socket, text } = await send(API, OTHER, API);
  expect(text().match(/200 OK/g)).toHaveLength(3);
  socket.destroy();
  await told(2);
  const named = (name: string) => said.find((one) => one.name === name);
  expect(said.map(({ name, address, verdict, reason }) => [name, address, verdict, reason]).sort()).toEqual([
    ['api.test', '127.0.0.1', 'allowed', null],
    ['other.test', '127.0.0.1', 'allowed', null],
  ]);
  expect(named('api.test')!.receivedBytes).toBe(2 * named('other.test')!.receivedBytes);
  expect(named('api.test')!.sentBytes).toBeGreaterThan(named('other.test')!.sentBytes);
});

test('what was allowed is told beside what was blocked', async () => {
  const { text } = await send(API, HIDDEN);
  expect(text()).toMatch(/200 OK[^]*403 Forbidden/);
  await told(2);
  expect(said).toMatchObject([
    { name: 'evil.test', verdict: 'blocked', reason: 'not declared' },
    { name: 'api.test', verdict: 'allowed', reason: null },
  ]);
});

test('a server is found at another of its addresses', async () => {
  addresses = ['127.0.0.9', '127.0.0.1'];
  const { text, socket } = await send(API);
  expect(text()).toMatch(/^HTTP\/1\.1 200 OK/);
  socket.destroy();
  await told(1);
  expect(said).toMatchObject([{ name: 'api.test', address: '127.0.0.1', reason: null }]);
});

test('one request that fails is not the failure of all; one that is alone is', async () => {
  const { socket } = await send(API);
  answer = 'HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n';
  heard = '';
  socket.write(API.replace(HOST, `Host: api.test:${(gateway.address() as AddressInfo).port}`));
  await until('the request', () => Promise.resolve(heard !== ''));
  await told(1);
  expect(said).toMatchObject([{ name: 'api.test', verdict: 'allowed', reason: null }]);
  said.length = 0;
  addresses = ['127.0.0.9'];
  const failed = await send(API);
  expect(failed.text()).toMatch(/^HTTP\/1\.1 502 /);
  await told(1);
  expect(said).toMatchObject([
    { name: 'api.test', verdict: 'allowed', reason: expect.stringMatching(/ECONN/) },
  ]);
});

test('requests that come before the answers to others are taken one after the other, up to a number', async () => {
  const few = await send(API.repeat(20));
  await until('all answers', () => Promise.resolve(few.text().split('200 OK').length === 21));
  await send(API.repeat(100));
  await told(1);
  expect(said).toContainEqual(
    expect.objectContaining({ verdict: 'blocked', reason: 'too many requests ahead of their answers' }),
  );
});

describe('an upgrade', () => {
  const UPGRADE = `GET / HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;

  test('that the server does not agree to opens no way to it', async () => {
    const { text } = await send(UPGRADE, HIDDEN);
    expect(text()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(heard).not.toContain('/hidden');
    heard = '';
    await send(UPGRADE + HIDDEN);
    expect(heard).not.toContain('/hidden');
  });

  test('before its turn ends its own connection alone', async () => {
    await send(API + UPGRADE);
    await told(1);
    expect(said).toContainEqual(expect.objectContaining({ reason: 'an upgrade before its turn' }));
    expect((await send(API)).text()).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  test('to WebSocket goes both ways when the server agrees', async () => {
    answer = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst';
    const { text, socket } = await send(UPGRADE);
    socket.write('frame');
    await until('the frame', () => Promise.resolve(heard.endsWith('frame')));
    expect(text()).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n[^]*\r\n\r\nfirst$/);
  });

  test.each(['Upgrade: h2c', 'Upgrade: TLS/1.0', 'Upgrade: websocket\r\nContent-Length: 1'])(
    'by %j does not pass',
    async (field) => {
      const { text } = await send(UPGRADE.replace('Upgrade: websocket', field));
      expect(text()).toMatch(/^HTTP\/1\.1 403 /);
      expect(heard).toBe('');
      expect(said).toMatchObject([{ verdict: 'blocked', reason: expect.stringContaining('upgrade') }]);
    },
  );
});

test('a request with two lengths is refused: another one can hide in it', async () => {
  const { text } = await send(
    `POST / HTTP/1.1\r\n${HOST}\r\nTransfer-Encoding:\r\nContent-Length: 0\r\n\r\n`,
  );
  expect(text()).toMatch(/^HTTP\/1\.1 40[03] /);
  expect(heard).toBe('');
});

test.each([
  ['042 a', /^HTTP\/1\.1 502 /],
  ['000 a', /^HTTP\/1\.1 502 /],
  ['200 a\x01b', /^HTTP\/1\.1 200 a\?b\r\n/],
  ['999 \x7f', /^HTTP\/1\.1 999 \?\r\n/],
])('a server that answers with the status %j does not end the gateway', async (status, expected) => {
  answer = `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`;
  const { text } = await send(`GET / HTTP/1.1\r\n${HOST}\r\n\r\n`);
  expect(text()).toMatch(expected);
});

test('a flood of what is blocked does not hide what is allowed', () => {
  const told: { readonly connection?: { readonly name: string }; readonly omitted?: number }[] = [];
  const report = new Report(10, (message) => void told.push(message));
  const connection = {
    ...({ at: '', direction: 'out', address: null, port: 1 } as const),
    ...{ sentBytes: 0, receivedBytes: 0, reason: null },
  };
  for (let at = 0; at < 20; at += 1) report.add({ ...connection, name: 'evil.test', verdict: 'blocked' });
  for (let at = 0; at < 8; at += 1) report.add({ ...connection, name: 'api.test', verdict: 'allowed' });
  report.end();
  const names = told.map((one) => one.connection?.name);
  expect(names.filter((name) => name === 'evil.test')).toHaveLength(5);
  expect(names.filter((name) => name === 'api.test')).toHaveLength(5);
  expect(told.at(-1)).toEqual({ end: true, omitted: 18 });
});
