import {
  closeSync,
  existsSync,
  futimesSync,
  mkdirSync,
  opendirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { link, open, readFile, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { isErrno, SjsError } from '../../errors.js';
import type { When } from '../../ports/record-store.js';
import { takeLock } from './lock.js';
import { describeStoreError } from './store-error.js';
import { SyncQueue, syncFolder } from './sync-queue.js';
import { createTempName, judgeTempOwner } from './temp-name.js';

const DAY_MS = 24 * 3_600_000;

/** SJS_HOME as a place for files that are complete or absent, whenever the power goes. */
export class HomeFolder {
  readonly path: string;
  private readonly syncing = new SyncQueue();

  /** @param path absolute; made when first written to. `STORE_FAILED` for a relative one. */
  constructor(path: string) {
    if (!isAbsolute(path)) {
      throw new SjsError(
        'STORE_FAILED',
        `SJS_HOME is ${JSON.stringify(path)}, which is not an absolute path`,
        {
          next: 'set SJS_HOME to an absolute path',
        },
      );
    }
    this.path = path;
  }

  /** Path below the home. */
  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Refuses a home that somebody else owns or can write to: what is kept there would prove nothing. */
  check(): void {
    const found = this.inspect();
    if (!found) return;
    const uid = process.getuid?.();
    const why = !found.isDirectory()
      ? 'is not a folder'
      : uid !== undefined && found.uid !== uid
        ? `belongs to user ${found.uid}, and sjs runs as ${uid}`
        : process.platform !== 'win32' && (found.mode & 0o022) !== 0
          ? `can be written by others (mode ${(found.mode & 0o777).toString(8).padStart(4, '0')})`
          : undefined;
    if (!why) return;
    throw new SjsError('STORE_FAILED', `SJS_HOME ${this.path} ${why}`, {
      next:
        uid === 0 && found.uid !== 0
          ? 'run sjs as the owner of the folder, or set SJS_HOME to one of your own'
          : why.startsWith('can be')
            ? `chmod go-w ${this.path}`
            : 'set SJS_HOME to a folder of your own',
    });
  }

  /** At once, as with the other quick looks here: through the thread pool each takes ten times as long. */
  private inspect(): Stats | null {
    try {
      return statSync(this.path);
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return null;
      throw describeStoreError(cause, 'read', this.path);
    }
  }

  /** Makes a folder below the home, durably, with access for its owner alone. */
  async makeFolder(...parts: string[]): Promise<string> {
    this.check();
    const folder = this.at(...parts);
    try {
      for (const changed of makeFolders(folder)) await syncFolder(changed);
      return folder;
    } catch (cause) {
      throw describeStoreError(cause, 'written', folder);
    }
  }

  /** A new file in `tmp/`, open for writing, named so that its owner can be told. */
  async openTemp(suffix = ''): Promise<{ readonly path: string; readonly handle: FileHandle }> {
    const path = join(await this.makeFolder('tmp'), `${await createTempName()}${suffix}`);
    try {
      return { path, handle: await open(path, 'wx', 0o600) };
    } catch (cause) {
      throw describeStoreError(cause, 'written', path);
    }
  }

  /**
   * Gives a temporary file, already on disk, its name, durably. `link` instead of `rename` keeps what is there already.
   */
  async publish(
    temp: string,
    folder: string,
    name: string,
    how: 'replace' | 'keep' = 'replace',
  ): Promise<void> {
    const directory = await this.makeFolder(folder);
    const path = join(directory, name);
    try {
      if (how === 'replace') await rename(temp, path);
      else await link(temp, path).finally(() => unlink(temp));
      await syncFolder(directory);
    } catch (cause) {
      await rm(temp, { force: true }).catch(() => undefined);
      if (how === 'keep' && isErrno(cause, 'EEXIST')) return;
      throw describeStoreError(cause, 'written', path);
    }
  }

  /**
   * Writes one file, whole or not at all.
   * @param first what must be done before it has its name; when that fails it gets none
   */
  async write(
    folder: string,
    name: string,
    data: string | Uint8Array,
    how?: 'replace' | 'keep',
    first?: Promise<unknown>,
  ): Promise<void> {
    // It may fail before anybody waits for it.
    first?.catch(() => undefined);
    const path = await this.writeTemp(data, this.at(folder, name));
    try {
      await first;
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
    await this.publish(path, folder, name, how);
  }

  /**
   * Writes one file at once: when this returns, every process sees all of it. A power cut before `durable` is fulfilled
   * leaves it whole, absent or empty.
   * @param timeMs when it was last changed, as its file says
   */
  async put(
    folder: string,
    name: string,
    data: string | Uint8Array,
    when: When,
    timeMs = Date.now(),
  ): Promise<{ readonly durable: Promise<void> }> {
    this.check();
    const directory = this.at(folder);
    const path = join(directory, name);
    const temp = this.at('tmp', await createTempName());
    let fd: number | null = null;
    try {
      const changed = existsSync(directory) ? [] : makeFolders(directory);
      if (!existsSync(dirname(temp))) changed.push(...makeFolders(dirname(temp)));
      fd = openSync(temp, 'wx', 0o600);
      writeFileSync(fd, data);
      futimesSync(fd, timeMs / 1000, timeMs / 1000);
      renameSync(temp, path);
      return { durable: this.syncing.add(fd, [directory, ...changed], path, when) };
    } catch (cause) {
      if (fd !== null) closeSync(fd);
      rmSync(temp, { force: true });
      throw describeStoreError(cause, 'written', path);
    }
  }

  /** Brings a file that is there to the disk, whoever wrote it. */
  async sync(folder: string, name: string, when: When): Promise<void> {
    const path = this.at(folder, name);
    try {
      await this.syncing.add(openSync(path, 'r'), [this.at(folder)], path, when);
    } catch (cause) {
      throw describeStoreError(cause, 'written', path);
    }
  }

  /** A temporary file that is on disk. */
  private async writeTemp(data: string | Uint8Array, place: string): Promise<string> {
    const { path, handle } = await this.openTemp();
    try {
      try {
        await handle.writeFile(data);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (cause) {
      await rm(path, { force: true }).catch(() => undefined);
      throw describeStoreError(cause, 'written', place);
    }
    return path;
  }

  /**
   * Does what no other process may do at the same time under the same name. `STORE_FAILED` when another holds it for
   * half a minute.
   */
  async withLock<T>(folder: string, name: string, work: () => Promise<T>): Promise<T> {
    const path = join(await this.makeFolder(folder), name);
    const release = await takeLock(path).catch((cause: unknown) => {
      throw describeStoreError(cause, 'written', path);
    });
    try {
      return await work();
    } finally {
      await release();
    }
  }

  /** The bytes of a file, or null when there is none. */
  async read(folder: string, name: string): Promise<Buffer | null> {
    const path = this.at(folder, name);
    try {
      return await readFile(path);
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return null;
      throw describeStoreError(cause, 'read', path);
    }
  }

  /** Names in a folder, in no order; none when it is not there yet. */
  list(folder: string): string[] {
    this.check();
    try {
      // A hundred thousand names come faster than with readdir, and than by the 32 at once that opendir takes by itself.
      const names: string[] = [];
      const directory = opendirSync(this.at(folder), { bufferSize: 256 });
      for (let entry = directory.readSync(); entry; entry = directory.readSync()) names.push(entry.name);
      directory.closeSync();
      return names;
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return [];
      throw describeStoreError(cause, 'read', this.at(folder));
    }
  }

  /** Removes a file; nothing to do when there is none. */
  async remove(folder: string, name: string): Promise<void> {
    const path = this.at(folder, name);
    await unlink(path).catch((cause: unknown) => {
      if (!isErrno(cause, 'ENOENT')) throw describeStoreError(cause, 'removed', path);
    });
  }

  /** Removes temporary files whose process is gone (of another boot or machine: older than a day); says how many. */
  async removeStaleTemp(nowMs: number): Promise<number> {
    let removed = 0;
    for (const name of this.list('tmp')) {
      const owner = await judgeTempOwner(name);
      if (owner === 'alive') continue;
      const found = await stat(this.at('tmp', name)).catch(() => null);
      // A folder is none of ours.
      if (!found?.isFile() || (owner === 'unknown' && nowMs - found.mtimeMs < DAY_MS)) continue;
      await this.remove('tmp', name);
      removed += 1;
    }
    return removed;
  }
}

/** Makes a folder and those above it, for their owner alone; returns those whose names changed by that. */
function makeFolders(folder: string): string[] {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  const changed: string[] = [];
  for (let made = folder; first !== undefined && made.length >= first.length; made = dirname(made)) {
    changed.push(dirname(made));
  }
  return changed;
}
