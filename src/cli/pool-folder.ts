import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { SjsError } from '../index.js';

/** What the kernel takes as the path of a socket (sun_path, unix(7)). */
const MOST_PATH_BYTES = 107;
const OWN_DESCRIPTORS = '/proc/self/fd';
/** A pool that is about to begin listens within a moment: what it left behind is older. */
const LEFT_MS = 60_000;

/** Where the process of a pool listens. Its name is its own: no other process ever listens there. */
export interface PoolSocket {
  /** The twelve digits of its seal that are in the tag. */
  readonly digits: string;
  readonly pid: number;
  readonly folder: string;
  readonly name: string;
}

/** A pool that died is cleared away in one; more are needed only when several come at once. */
const MOST_ATTEMPTS = 10;

const SOCKET = /^(\d+)-[0-9a-f]{8}\.sock$/;

export const poolsFolder = (home: string): string => join(home, 'pools');

/** Where a pool says what went wrong while nobody looked. */
export const logFile = (home: string, digits: string): string => join(poolsFolder(home), `${digits}.log`);

/** The digits of a seal that stand in its tag. */
export const digitsOf = (tag: string): string => tag.slice(-12);

/**
 * The sockets of this SJS_HOME, those of `first` ahead.
 * @throws SjsError `STORE_FAILED` when anybody else could have put them there
 */
export function listSockets(home: string, first = ''): readonly PoolSocket[] {
  const pools = poolsFolder(home);
  const sockets = listOwn(pools).flatMap((digits) => {
    const folder = join(pools, digits);
    if (!/^[0-9a-f]{12}$/.test(digits)) return [];
    return listOwn(folder).flatMap((name) => {
      const pid = SOCKET.exec(name)?.[1];
      return pid === undefined ? [] : [{ digits, pid: Number(pid), folder, name }];
    });
  });
  return sockets.sort((a, b) => Number(b.digits === first) - Number(a.digits === first));
}

/** What is in a folder that is ours alone; nothing when it is not there. */
function listOwn(folder: string): readonly string[] {
  try {
    requireOwn(folder, lstatSync(folder), (found) => found.isDirectory());
    return readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Whoever else could write there could answer in the name of a pool. */
function requireOwn(path: string, found: Stats, isRight: (found: Stats) => boolean): void {
  if (isRight(found) && found.uid === process.getuid?.() && (found.mode & 0o077) === 0) return;
  throw new SjsError('STORE_FAILED', `${path} is not yours alone: no pool is looked for there`, {
    next: `see who made it, and remove it: rm -r ${path}`,
  });
}

/**
 * Connects to a pool; null when nobody listens there any more, and then what is left of it is removed.
 * @throws SjsError `STORE_FAILED` for a socket that somebody else made
 */
export async function connectTo(found: PoolSocket): Promise<Socket | null> {
  try {
    requireOwn(join(found.folder, found.name), lstatSync(join(found.folder, found.name)), (one) =>
      one.isSocket(),
    );
    return await withShortPath(found.folder, found.name, open);
  } catch (error) {
    if (!isMissing(error) && (error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    removeSocket(found);
    return null;
  }
}

const open = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // The end of the connection says it as well.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });

/** Of several sockets of a folder only this one: its name never comes again. */
export function removeSocket({ folder, name }: PoolSocket): void {
  for (const remove of [() => unlinkSync(join(folder, name)), () => rmdirSync(folder)]) {
    try {
      remove();
    } catch {
      // Another was faster, or the folder has another socket.
    }
  }
}

/**
 * Has the server listen as the pool of a seal: null when another one does. It listens in a folder of its own first, which
 * takes its place only where no other socket is.
 */
export async function listenAs(
  home: string,
  digits: string,
  name: string,
  server: Server,
): Promise<PoolSocket | null> {
  const pools = poolsFolder(home);
  mkdirSync(pools, { recursive: true, mode: 0o700 });
  removeLeft(pools);
  const own = join(pools, `.${name}`);
  mkdirSync(own, { mode: 0o700 });
  const folder = join(pools, digits);
  try {
    await withShortPath(own, name, (path) => listen(server, path));
    chmodSync(join(own, name), 0o600);
    for (let attempt = 1; !takePlace(own, folder, attempt < MOST_ATTEMPTS); attempt += 1) {
      for (const other of listSockets(home).filter((one) => one.digits === digits)) {
        const socket = await connectTo(other);
        socket?.destroy();
        if (socket) return null;
      }
    }
    return { digits, pid: process.pid, folder, name };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });

/** A folder takes the place of another only while that is empty. */
function takePlace(own: string, folder: string, again: boolean): boolean {
  try {
    renameSync(own, folder);
    return true;
  } catch (cause) {
    if (again && ['ENOTEMPTY', 'EEXIST'].includes((cause as NodeJS.ErrnoException).code ?? '')) return false;
    throw new SjsError('STORE_FAILED', `${folder} cannot be made`, {
      cause,
      next: `see what is in it: ls -la ${folder}`,
    });
  }
}

/** What a pool left that died before it had taken its place. */
function removeLeft(pools: string): void {
  for (const name of listOwn(pools).filter((one) => one.startsWith('.'))) {
    const found = lstatSync(join(pools, name), { throwIfNoEntry: false });
    if (found && Date.now() - found.mtimeMs > LEFT_MS)
      rmSync(join(pools, name), { recursive: true, force: true });
  }
}

/** Where the path is longer than the kernel takes, by way of the open folder. */
async function withShortPath<T>(folder: string, name: string, act: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= MOST_PATH_BYTES) return act(path);
  if (!existsSync(OWN_DESCRIPTORS)) {
    throw new SjsError('STORE_FAILED', `${path} is longer than the path of a socket may be`, {
      next: 'set SJS_HOME to a shorter path',
    });
  }
  const descriptor = openSync(folder, 'r');
  try {
    return await act(join(OWN_DESCRIPTORS, String(descriptor), name));
  } finally {
    closeSync(descriptor);
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
