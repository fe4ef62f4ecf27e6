import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const PATIENCE_MS = 60_000;

/** Another engine of this machine's dockerd, with containers, images and a network of its own. */
export interface SecondEngine {
  /** For `DOCKER_HOST`. */
  readonly host: string;
  /** Folder of its data. */
  readonly data: string;
  /** Ends dockerd by this signal and starts it again. */
  restart(signal: NodeJS.Signals): Promise<void>;
  /** Ends it and removes all that it made. */
  stop(): Promise<void>;
}

const asRoot = (words: readonly string[]): readonly [string, readonly string[]] =>
  process.getuid?.() === 0 ? [words[0] ?? '', words.slice(1)] : ['sudo', ['-n', ...words]];
const root = (...words: string[]): Promise<unknown> => {
  const [program, args] = asRoot(words);
  return execute(program, args, { timeout: PATIENCE_MS });
};

/** How it differs from the machine's own. */
export interface SecondEngineOptions {
  readonly imageStore: 'containerd' | 'overlay2';
  /** Keeps all its data on a disk of this size, in memory. */
  readonly diskMiB?: number;
}

/**
 * Starts a dockerd beside the machine's own, which it does not touch: other folders, another socket, other names in
 * containerd, a bridge of its own (with none it would take the first one's away).
 */
export async function startSecondEngine({ imageStore, diskMiB }: SecondEngineOptions): Promise<SecondEngine> {
  const folder = await mkdtemp('/var/tmp/sjs-engine-');
  const host = `unix://${join(folder, 'docker.sock')}`;
  const bridge = `sjs${process.pid.toString(36)}`;
  const config = join(folder, 'daemon.json');
  await writeFile(
    config,
    JSON.stringify({ features: { 'containerd-snapshotter': imageStore === 'containerd' } }),
  );
  const data = join(folder, 'data');
  await mkdir(data);
  if (diskMiB !== undefined) await root('mount', '-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', data);
  await root('ip', 'link', 'add', 'name', bridge, 'type', 'bridge');
  const words = [
    ...['dockerd', '--config-file', config, '--host', host, '--pidfile', join(folder, 'pid')],
    ...['--data-root', data, '--exec-root', join(folder, 'exec')],
    ...['--bridge', bridge, '--iptables=false', '--ip6tables=false'],
    ...['--containerd-namespace', bridge, '--containerd-plugins-namespace', `${bridge}-plugins`],
  ];
  let child: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    const log = openSync(join(folder, 'log'), 'a');
    const [program, args] = asRoot(words);
    child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    const deadline = Date.now() + PATIENCE_MS;
    const isUp = (): Promise<boolean> =>
      execute('docker', ['--host', host, 'version'], { timeout: 10_000 }).then(
        () => true,
        () => false,
      );
    while (!(await isUp())) {
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(
          `the second dockerd does not run: ${readFileSync(join(folder, 'log'), 'utf8').slice(-2000)}`,
        );
      }
      await delay(200);
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    await root('kill', `-${signal.slice(3)}`, readFileSync(join(folder, 'pid'), 'utf8').trim());
    await Promise.race([ended, delay(PATIENCE_MS, undefined, { ref: false })]);
  };
  const stop = async (): Promise<void> => {
    await end('SIGTERM');
    await root('ip', 'link', 'delete', bridge).catch(() => undefined);
    const { stdout } = await execute('sh', ['-c', `grep -o " ${folder}[^ ]*" /proc/mounts || true`]);
    for (const mount of stdout.split('\n').filter(Boolean).reverse())
      await root('umount', '-l', mount.trim());
    await root('rm', '-rf', folder);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    host,
    data,
    stop,
    restart: async (signal) => {
      await end(signal);
      await start();
    },
  };
}
