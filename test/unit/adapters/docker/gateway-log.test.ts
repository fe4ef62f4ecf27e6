import { expect, test } from '@jest/globals';
import { GATEWAY_LOG_BYTES, readConnections } from '../../../../src/adapters/docker/gateway-log.js';
import { MOST_CONNECTIONS, type ConnectionRecord } from '../../../../src/model/record.js';

const connection: ConnectionRecord = {
  at: '2026-01-02T03:04:05.678Z',
  direction: 'out',
  name: 'api.test',
  address: '192.0.2.1',
  port: 443,
  sentBytes: 1,
  receivedBytes: 2,
  verdict: 'allowed',
  reason: null,
};
const told = `${JSON.stringify({ connection })}\n`;

/** A piece of the log, as the engine frames it. */
function framed(text: string, stream: 1 | 2 = 1): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

async function read(...pieces: Buffer[]): Promise<{ omitted: number | null; seen: ConnectionRecord[] }> {
  const seen: ConnectionRecord[] = [];
  async function* log(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) yield await Promise.resolve(piece);
  }
  const omitted = await readConnections(log(), (one) => void seen.push(one));
  return { omitted, seen };
}

test('what a gateway told is read back, and how many it left out', async () => {
  const lines = ['{"ready":true}\n', told, '{"end":true,"omitted":7}\n'];
  expect(await read(...lines.map((line) => framed(line)))).toEqual({ omitted: 7, seen: [connection] });
  expect(await read(framed(lines.join('').slice(0, 40)), framed(lines.join('').slice(40)))).toEqual({
    omitted: 7,
    seen: [connection],
  });
});

test('of one that was killed nobody knows what it did not tell', async () => {
  expect(await read(framed('{"ready":true}\n'), framed(told), framed(told.slice(0, 30)))).toEqual({
    omitted: null,
    seen: [connection],
  });
  expect(await read()).toEqual({ omitted: null, seen: [] });
});

test('more than a gateway tells is not taken, nor is a log without end', async () => {
  const { omitted, seen } = await read(
    framed(told.repeat(MOST_CONNECTIONS + 5)),
    framed('{"end":true,"omitted":0}\n'),
  );
  expect(omitted).toBeNull();
  expect(seen).toHaveLength(MOST_CONNECTIONS);
  let asked = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      asked += 1;
      yield await Promise.resolve(framed('{"ready":true}\n'.repeat(4096)));
    }
  }
  expect(await readConnections(endless(), () => undefined)).toBeNull();
  expect(asked).toBeLessThanOrEqual(GATEWAY_LOG_BYTES / (15 * 4096) + 1);
});

test.each([
  ['no JSON', 'up\n'],
  ['a record of its own', '{"state":"succeeded"}\n'],
  ['a connection with a byte count that is none', told.replace('"sentBytes":1', '"sentBytes":-1')],
  ['a line without end', 'x'.repeat(10_000)],
])('%s is refused', async (_name, text) => {
  await expect(read(framed(text))).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
});

test('what it says on stderr is no word of its own, and control characters do not pass', async () => {
  const odd = { connection: { ...connection, name: 'a\u001b[2Jb\u202e', reason: 'x'.repeat(3000) } };
  const { seen } = await read(framed(told, 2), framed(`${JSON.stringify(odd)}\n`));
  expect(seen).toHaveLength(1);
  expect([...seen[0]!.name!].filter((one) => one < ' ' || one === '\u202e')).toEqual([]);
  expect(seen[0]!.reason).toHaveLength(300);
});
