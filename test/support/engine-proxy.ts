import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { DockerClient } from '../../src/adapters/docker/client.js';
import { CannotBeTried } from './attack.js';
import { makeFolder } from './world.js';

/** A socket to the engine at which one request is met. */
export interface EngineProxy {
  /** For `DOCKER_HOST`. */
  readonly host: string;
  /** Fulfilled when it was met. */
  readonly met: Promise<void>;
  /** How often. */
  count(): number;
  close(): void;
}

/** What becomes of the request that is met: its answer never comes, or the connection breaks instead of it. */
export type Fate = 'hold the answer' | 'break off';

/**
 * Passes everything on to the engine and back, but for the first request that begins as told: the engine acts on it, and
 * who asked does not hear of that. One that is answered only later is met when it is sent.
 * @param request matches `METHOD /path?query`, without the API's version
 */
export async function proxyEngine(
  { endpoint }: DockerClient,
  request: RegExp,
  fate: Fate,
  isAnsweredLater = false,
): Promise<EngineProxy> {
  if (endpoint.kind !== 'unix') throw new CannotBeTried('the engine is on another machine');
  const socket = join(await makeFolder(), 'engine.sock');
  let count = 0;
  let meet: () => void = () => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ path: endpoint.socketPath, allowHalfOpen: true });
    let isMet = false;
    near.on('data', (chunk) => {
      const [, method, path] =
        /^(GET|POST|PUT|DELETE) (?:\/v[\d.]+)?(\/\S*) HTTP/m.exec(chunk.toString('latin1')) ?? [];
      if (count === 0 && method !== undefined && request.test(`${method} ${path}`)) {
        count += 1;
        isMet = true;
      }
      far.write(chunk);
      if (isMet && isAnsweredLater) meet();
    });
    far.on('data', (chunk) => {
      if (!isMet) return near.write(chunk);
      if (fate === 'break off') {
        far.destroy();
        near.destroy();
      }
      return meet();
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy()).on('end', () => other.end());
      one.on('close', () => (open.delete(one), other.destroy()));
    }
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    host: `unix://${socket}`,
    met,
    count: () => count,
    close() {
      server.close();
      for (const one of open) one.destroy();
    },
  };
}
