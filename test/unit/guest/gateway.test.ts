import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { readServerName } from '../../../src/guest/gateway/client-hello.js';
import { recognize } from '../../../src/guest/gateway/first-bytes.js';
import { answerQuery, readQuery } from '../../../src/guest/gateway/name-query.js';

/** The first bytes that Node's own TLS sends. */
async function helloOf(servername: string | undefined): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: '127.0.0.1', port, ...(servername !== undefined && { servername }) });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

/** The handshake message in one record each of `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

/** The hello with one more extension. */
function withExtension(hello: Buffer, type: number, content: Buffer): Buffer {
  const body = Buffer.from(hello);
  const extension = Buffer.concat([
    Buffer.from([type >> 8, type & 255, content.length >> 8, content.length & 255]),
    content,
  ]);
  let at = 5 + 4 + 2 + 32;
  at += 1 + body[at]!;
  at += 2 + body.readUInt16BE(at);
  at += 1 + body[at]!;
  body.writeUInt16BE(body.readUInt16BE(at) + extension.length, at);
  body.writeUIntBE(body.readUIntBE(6, 3) + extension.length, 6, 3);
  body.writeUInt16BE(body.readUInt16BE(3) + extension.length, 3);
  return Buffer.concat([body, extension]);
}

describe('a TLS hello', () => {
  test('names its server, however it is cut', async () => {
    const hello = await helloOf('api.example.com');
    expect(recognize(hello)).toBe('tls');
    expect(readServerName(hello)).toEqual({ kind: 'name', name: 'api.example.com' });
    for (const size of [1, 7, 100]) {
      expect(readServerName(inRecords(hello, size))).toEqual({ kind: 'name', name: 'api.example.com' });
    }
    for (let length = 0; length < hello.length; length += 1)
      expect(readServerName(hello.subarray(0, length))).toEqual({ kind: 'more' });
  });

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
