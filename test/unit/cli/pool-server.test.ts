import { once } from 'node:events';
import { connect, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { encodeFrame, readFrames } from '../../../src/cli/pool-frames.js';
import { createPoolServer, type ServedPool } from '../../../src/cli/pool-server.js';

let server: Server;
let stopped = 0;
const never = new Promise<never>(() => undefined);
beforeEach(async () => {
  const served = {
    tag: 'sjs/x:1',
    pool: { run: () => never, call: () => never, status: () => ({ ready: 1 }) },
    stop: () => {
      stopped += 1;
      return never;
    },
    isStopping: () => false,
  } as unknown as ServedPool;
  ({ server } = createPoolServer(served));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => void server.close());

const open = () => connect((server.address() as AddressInfo).port, '127.0.0.1');
const askStatus = async (): Promise<unknown> => {
  const socket = open();
  socket.write(encodeFrame('status', ''));
  for await (const { body } of readFrames(socket)) {
    socket.destroy();
    return JSON.parse(Buffer.from(body).toString());
  }
  return null;
};

test.each(['run', 'call'] as const)(
  'a %s that is none ends its connection, and the pool goes on',
  async (type) => {
    const socket = open().resume();
    socket.write(encodeFrame(type, 'null'));
    await once(socket, 'close');
    expect(await askStatus()).toMatchObject({ tag: 'sjs/x:1', ready: 1 });
  },
);

test('who asks for the end and goes away keeps nobody waiting', async () => {
  const socket = open();
  socket.write(Buffer.concat([encodeFrame('stop', ''), encodeFrame('status', '')]));
  // What comes behind it is answered although the stop is not over.
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toContain('"ready":1');
  expect(stopped).toBe(1);
  socket.destroy();
});
