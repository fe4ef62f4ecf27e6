import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readServerName } from '../../../src/guest/gateway/client-hello.js';
import { recognize } from '../../../src/guest/gateway/first-bytes.js';
import { Turns } from '../../../src/guest/gateway/turns.js';
import { helloOf, inRecords, withExtension } from '../../support/client-hello.js';
import { answerQuery, readQuery } from '../../../src/guest/gateway/name-query.js';

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
