import { close, fsync } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isErrno } from '../../errors.js';
import type { When } from '../../ports/record-store.js';
import { describeStoreError } from './store-error.js';

const sync = promisify(fsync);
const end = promisify(close);

interface Waiting {
  readonly fd: number;
  readonly folders: readonly string[];
  readonly settle: (result: Promise<void>) => void;
}

/** Work that has milliseconds is over by then: the disk keeps nobody waiting who does not ask for it. */
const SOON_MS = 25;

/** Brings files to the disk that have their names already, those together that come while the disk is at work. */
export class SyncQueue {
  private waiting: Waiting[] = [];
  private isAtWork = false;
  private later: NodeJS.Timeout | null = null;

  /**
   * @param fd is closed when it is done
   * @param folders whose names must be on disk as well
   * @param path for what goes wrong
   * @param when `soon`: nobody waits for it just now
   */
  add(fd: number, folders: readonly string[], path: string, when: When): Promise<void> {
    const durable = new Promise<void>((resolve) => {
      this.waiting.push({ fd, folders, settle: resolve });
    }).catch((cause: unknown) => {
      throw describeStoreError(cause, 'written', path);
    });
    // Nobody may wait for it.
    durable.catch(() => undefined);
    if (when === 'now') void this.work();
    else this.later ??= setTimeout(() => void this.work(), SOON_MS);
    return durable;
  }

  private async work(): Promise<void> {
    if (this.later) clearTimeout(this.later);
    this.later = null;
    if (this.isAtWork) return;
    this.isAtWork = true;
    for (let batch = this.waiting; batch.length > 0; batch = this.waiting) {
      this.waiting = [];
      const contents = batch.map(({ fd }) => sync(fd).finally(() => end(fd)));
      await Promise.allSettled(contents);
      const folders = new Map<string, Promise<void>>();
      for (const folder of batch.flatMap((one) => one.folders)) {
        if (!folders.has(folder)) folders.set(folder, syncFolder(folder));
      }
      await Promise.allSettled(folders.values());
      batch.forEach((one, at) => {
        const names = one.folders.map((folder) => folders.get(folder));
        one.settle(Promise.all([contents[at], ...names]).then(() => undefined));
      });
    }
    this.isAtWork = false;
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems have no such call for folders; there is nothing better to do on them.
    if (!isErrno(error, 'EINVAL', 'ENOTSUP')) throw error;
  } finally {
    await handle.close();
  }
}
