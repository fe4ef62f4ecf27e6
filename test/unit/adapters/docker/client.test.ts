import { afterEach, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach } from '../../../../src/adapters/docker/attach.js';
import { createDockerClient, type DockerClient } from '../../../../src/adapters/docker/client.js';
import { statusOf, toEngineError } from '../../../../src/adapters/docker/engine-error.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A client of a tiny real engine. */
async function serve(listener: RequestListener): Promise<{ client: DockerClient; server: Server }> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-engine-'));
  const socket = join(folder, 'docker.sock');
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
  const client = await createDockerClient({ env: { DOCKER_HOST: `unix://${socket}` }, home: folder });
  return { client, server };
}

const version = (client: DockerClient, timeoutMs = 5000, abort?: AbortSignal) =>
  client.call('tell its version', timeoutMs, () => client.docker.version(), abort);

test('an answer is passed on', async () => {
  const { client } = await serve((_request, response) => response.end('{"Version":"1"}'));
  expect(await version(client)).toEqual({ Version: '1' });
});

test('no engine: unreachable, and what to do', async () => {
  const client = await createDockerClient({ env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' }, home: '/' });
  await expect(version(client)).rejects.toMatchObject({
    code: 'ENGINE_UNREACHABLE',
    message: 'no Docker Engine answers at /nowhere/docker.sock (ENOENT)',
    next: expect.stringContaining('start it') as unknown,
  });
});

test('an engine that accepts and never answers: a timeout (X07)', async () => {
  const { client } = await serve(() => undefined);
  await expect(version(client, 50)).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' });
});

test('an engine that hangs up: unreachable', async () => {
  const { client } = await serve((request) => request.socket.destroy());
  await expect(version(client)).rejects.toMatchObject({ code: 'ENGINE_UNREACHABLE' });
});

test('an engine that refuses: its words without control characters, and its status', async () => {
  const { client } = await serve((_request, response) => {
    response.statusCode = 500;
    response.end(JSON.stringify({ message: 'no\u001b[2J\nway' }));
  });
  const error = await version(client).catch((failure: unknown) => failure);
  expect(error).toMatchObject({
    code: 'ENGINE_FAILED',
    message: 'the engine could not tell its version: no\\u001b[2J way',
  });
  expect(statusOf(error)).toBe(500);
  expect(statusOf(new Error('x'))).toBeNull();
});

test('an abort stops the call', async () => {
  const { client } = await serve(() => undefined);
  const controller = new AbortController();
  const calling = version(client, 5000, controller.signal);
  controller.abort();
  await expect(calling).rejects.toMatchObject({ code: 'ABORTED' });
  await expect(version(client, 5000, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
});

test('attach sends no body that could reach the program, and keeps what came with the upgrade', async () => {
  const { client, server } = await serve(() => undefined);
  const seen = new Promise<{ length: string | undefined; input: string }>((resolve) => {
    server.on('upgrade', (request, socket, head) => {
      let input = head.toString();
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly');
      socket.on('data', (chunk: Buffer) => (input += chunk.toString()));
      socket.on('end', () => {
        socket.end(' late');
        resolve({ length: request.headers['content-length'], input });
      });
    });
  });
  const socket = await attach(client, 'name', new AbortController().signal);
  socket.end('typed');
  let output = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) output += chunk.toString();
  expect(await seen).toEqual({ length: '0', input: 'typed' });
  expect(output).toBe('early late');
});

test('attach to what is not there', async () => {
  const { client } = await serve((_request, response) => {
    response.statusCode = 404;
    response.end('{"message":"No such container"}');
  });
  const attaching = client.call('attach', 1000, (signal) => attach(client, 'name', signal));
  const error = await attaching.catch((failure: unknown) => failure);
  expect(statusOf(error)).toBe(404);
});

test('a refusal whose words are no text is a refusal', () => {
  const endpoint = { kind: 'unix', socketPath: '/x' } as const;
  const json = { message: { toString: null } };
  expect(toEngineError('do it', { statusCode: 500, json }, endpoint)).toMatchObject({
    code: 'ENGINE_FAILED',
  });
});
