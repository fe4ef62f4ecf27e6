import { request, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DockerClient } from './client.js';

/**
 * Attaches to stdin, stdout and stderr of a container that was created and not started. What is written goes to stdin,
 * its half-close ends stdin, what is read is the multiplexed output.
 *
 * Not by dockerode: it sends the options as a body ahead of the upgrade, which may reach the program as input.
 */
export async function attach(client: DockerClient, name: string, signal: AbortSignal): Promise<Duplex> {
  const path = `/containers/${name}/attach?stream=1&stdin=1&stdout=1&stderr=1`;
  const options: RequestOptions & { readonly servername: string } = {
    method: 'POST',
    path,
    // A connection of its own: it is not HTTP any more afterwards.
    agent: false,
    // As for the other calls: see the client's agent.
    servername: '',
    headers: { Host: 'docker', Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Length': '0' },
  };
  const send = await openRequest(client);
  return new Promise((resolve, reject) => {
    const attaching = send(options);
    const onAbort = (): void => void attaching.destroy(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', onAbort);
    attaching.on('error', (error) => {
      settle();
      reject(error);
    });
    attaching.on('upgrade', (_response, socket: Duplex, head) => {
      settle();
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    attaching.on('response', (response) => {
      settle();
      readRefusal(response).then(reject, reject);
    });
    attaching.end();
  });
}

async function openRequest({ endpoint, tls }: DockerClient) {
  if (endpoint.kind === 'unix') {
    return (options: RequestOptions) => request({ ...options, socketPath: endpoint.socketPath });
  }
  const https = await import('node:https');
  return (options: RequestOptions) =>
    https.request({ ...options, ...tls, host: endpoint.host, port: endpoint.port });
}

async function readRefusal(response: IncomingMessage): Promise<Error> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > 65536) break;
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return Object.assign(new Error(text), { statusCode: response.statusCode ?? 0 });
}
