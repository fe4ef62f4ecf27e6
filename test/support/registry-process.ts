import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A registry that runs. */
export interface RunningRegistry {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** The file in which it keeps a blob or a manifest. */
  fileOf(digest: string): string;
  /** Ends it and removes all that it stored. */
  stop(): Promise<void>;
}

/** Starts Debian's `docker-registry` on a free loopback port, with its storage in a temporary folder. */
export async function startRegistry(): Promise<RunningRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'sjs-registry-'));
  const host = `127.0.0.1:${await findFreePort()}`;
  const config = join(folder, 'config.yml');
  await writeFile(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'info', accesslog: { disabled: true } },
      http: { addr: host },
      storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    }),
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit').catch(() => undefined);
  const lines: string[] = [];
  await new Promise<void>((ready, fail) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      if (line.includes('listening on')) ready();
    });
    child.once('error', fail);
    child.once('exit', () => fail(new Error(`docker-registry ended: ${lines.slice(-3).join('\n')}`)));
  });
  return {
    host,
    fileOf: (digest) => {
      const hex = digest.replace('sha256:', '');
      return join(folder, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
    },
    async stop() {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A loopback port that nobody listens on right now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
