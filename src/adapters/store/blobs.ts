import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { link, open, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { isErrno } from '../../errors.js';
import { hexOf, isDigest, type Digest } from '../../model/digest.js';
import type { Clock } from '../../ports/clock.js';
import type { BlobWriter, GrowingContent, GrowingName, When } from '../../ports/record-store.js';
import type { HomeFolder } from './home-folder.js';
import { describeStoreError, invalidFile } from './store-error.js';
import { createTempName } from './temp-name.js';

const FOLDER = 'blobs/sha256';
const HOUR_MS = 3_600_000;
const READ_BYTES = 64 * 1024;
/** So much content waits so long for more before there is a file of it. */
const HELD_BYTES = 64 * 1024;
const HELD_MS = 25;
/** What this process has put there so lately is whole, and young. */
const RECENT_MS = 60_000;
const MOST_RECENT = 1000;

/** Contents in `blobs/sha256/<hex>`. */
export class BlobFiles {
  private readonly home: HomeFolder;
  private readonly clock: Pick<Clock, 'now'>;
  private readonly recent = new Map<string, { readonly atMs: number; readonly durable: Promise<void> }>();

  constructor(home: HomeFolder, clock: Pick<Clock, 'now'>) {
    this.home = home;
    this.clock = clock;
  }

  create(name?: GrowingName): BlobWriter {
    const { home, clock } = this;
    const hash = createHash('sha256');
    let bytes = 0;
    let done = false;
    // Made when there is much, or it takes its time: most runs write little, or nothing, to one of their streams.
    let file: { readonly path: string; readonly handle: FileHandle } | null = null;
    // Writes queue up, so that a caller who does not wait cannot mix their order.
    let last: Promise<void> = Promise.resolve();
    // What comes while a write is under way goes with the next one.
    let waiting: Uint8Array[] = [];
    let later: NodeJS.Timeout | null = null;
    const append = async (): Promise<void> => {
      if (waiting.length === 0) return;
      const chunks = waiting;
      waiting = [];
      file ??= await home.openTemp(name && suffixOf(name));
      const { path, handle } = file;
      await handle.writeFile(Buffer.concat(chunks)).catch((cause: unknown) => {
        throw describeStoreError(cause, 'written', path);
      });
    };
    const discard = async (): Promise<void> => {
      done = true;
      if (later) clearTimeout(later);
      await last.catch(() => undefined);
      await file?.handle.close();
      if (file) await rm(file.path, { force: true });
      file = null;
    };
    let isHeld = true;
    const begin = (): Promise<void> => {
      isHeld = false;
      if (later) clearTimeout(later);
      last = last.then(append);
      last.catch(() => undefined);
      return last;
    };
    /** What no file was made for: at once, in one piece. */
    const put = async (hex: string, when: When): Promise<{ readonly durable: Promise<unknown> }> => {
      const found = when === 'soon' ? this.findRecent(hex) : null;
      if (found) return found;
      const content = Buffer.concat(waiting);
      const atMs = clock.now();
      // A power cut must not take what others refer to already.
      const isThere = this.isWhole(hex, content) && this.renew(`sha256:${hex}`);
      const { durable } = isThere
        ? { durable: home.sync(FOLDER, hex, when) }
        : await home.put(FOLDER, hex, content, when, atMs);
      this.keepRecent(hex, { atMs, durable });
      return { durable };
    };
    const keep = async (hex: string): Promise<void> => {
      try {
        await last;
        file ??= await home.openTemp();
        // The age that prune looks at counts from here, not from the last byte written.
        const now = clock.now() / 1000;
        await file.handle.utimes(now, now);
        await file.handle.sync();
        await file.handle.close();
      } catch (cause) {
        const path = file?.path ?? home.at(FOLDER, hex);
        await discard().catch(() => undefined);
        throw describeStoreError(cause, 'written', path);
      }
      // Over what is there already: the same bytes, made young again, so that no concurrent prune takes them.
      await home.publish(file.path, FOLDER, hex);
      file = null;
    };
    return {
      get bytes() {
        return bytes;
      },
      write(chunk) {
        if (done) return Promise.reject(new Error('the content is already committed or discarded'));
        hash.update(chunk);
        bytes += chunk.length;
        waiting.push(chunk);
        if (!isHeld || bytes > HELD_BYTES) return begin();
        later ??= setTimeout(() => void begin(), HELD_MS);
        return last;
      },
      async commit() {
        const { digest, kept } = this.finish();
        await kept;
        return { digest, bytes };
      },
      finish: (when = 'now') => {
        done = true;
        if (later) clearTimeout(later);
        const hex = hash.digest('hex');
        const placed = isHeld ? put(hex, when) : keep(hex).then(() => ({ durable: Promise.resolve() }));
        const kept = placed.then(({ durable }) => durable).then(() => undefined);
        const isPlaced = placed.then(() => undefined);
        // Either may fail before anybody waits for it.
        for (const pending of [isPlaced, kept]) pending.catch(() => undefined);
        return { digest: `sha256:${hex}`, bytes, placed: isPlaced, kept };
      },
      discard,
    };
  }

  private findRecent(hex: string): { readonly durable: Promise<void> } | null {
    const found = this.recent.get(hex);
    const isRecent = found && Math.abs(this.clock.now() - found.atMs) < RECENT_MS;
    return isRecent && existsSync(this.home.at(FOLDER, hex)) ? found : null;
  }

  private keepRecent(hex: string, put: { readonly atMs: number; readonly durable: Promise<void> }): void {
    if (this.recent.size >= MOST_RECENT) this.recent.clear();
    this.recent.set(hex, put);
    put.durable.catch(() => this.recent.delete(hex));
  }

  private isWhole(hex: string, content: Buffer): boolean {
    const path = this.home.at(FOLDER, hex);
    try {
      // An error for what is not there takes longer than all the rest.
      return existsSync(path) && readFileSync(path).equals(content);
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return false;
      throw describeStoreError(cause, 'read', path);
    }
  }

  /** Makes content that is there young again; false when it is not there. */
  renew(digest: Digest): boolean {
    this.home.check();
    const path = this.path(digest);
    const now = this.clock.now() / 1000;
    try {
      utimesSync(path, now, now);
      return true;
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return false;
      throw describeStoreError(cause, 'written', path);
    }
  }

  async openGrowing(name: GrowingName): Promise<GrowingContent | null> {
    const suffix = suffixOf(name);
    const file = this.home.list('tmp').find((found) => found.endsWith(suffix));
    if (file === undefined) return null;
    const path = this.home.at('tmp', file);
    const handle = await open(path, 'r').catch((cause: unknown) => {
      // Committed, or discarded, since it was listed.
      if (isErrno(cause, 'ENOENT')) return null;
      throw describeStoreError(cause, 'read', path);
    });
    return (
      handle && {
        read: async () => {
          const buffer = Buffer.allocUnsafe(READ_BYTES);
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
          return buffer.subarray(0, bytesRead);
        },
        close: () => handle.close(),
      }
    );
  }

  open(digest: Digest): Readable {
    return Readable.from(this.read(digest), { objectMode: false });
  }

  private async *read(digest: Digest): AsyncGenerator<Buffer> {
    const path = this.path(digest);
    const hash = createHash('sha256');
    try {
      this.home.check();
      const handle = await open(path, 'r');
      for await (const chunk of handle.createReadStream({ highWaterMark: 256 * 1024 })) {
        hash.update(chunk as Buffer);
        yield chunk as Buffer;
      }
    } catch (cause) {
      if (isErrno(cause, 'ENOENT'))
        throw invalidFile(path, 'is gone', 'sjs prune removes what has outlived its time');
      throw describeStoreError(cause, 'read', path);
    }
    if (hash.digest('hex') !== hexOf(digest)) {
      throw invalidFile(
        path,
        'does not have the content its name promises',
        'check the disk, and remove the file',
      );
    }
  }

  async has(digest: Digest): Promise<boolean> {
    this.home.check();
    return (await stat(this.path(digest)).catch(() => null))?.isFile() ?? false;
  }

  /** Removes blobs that are not in `kept` and were last committed before `cutoffMs`; with `dryRun` only counts them. */
  async prune(
    kept: ReadonlySet<string>,
    cutoffMs: number,
    dryRun: boolean,
  ): Promise<{ count: number; bytes: number }> {
    let count = 0;
    let bytes = 0;
    for (const name of this.home.list(FOLDER)) {
      if (kept.has(name) || !/^[0-9a-f]{64}$/.test(name)) continue;
      const removed = dryRun ? this.sizeOfOlder(name, cutoffMs) : await this.removeOlder(name, cutoffMs);
      if (removed === null) continue;
      count += 1;
      bytes += removed;
    }
    return { count, bytes };
  }

  private sizeOfOlder(name: string, cutoffMs: number): number | null {
    const found = statSync(this.home.at(FOLDER, name), { throwIfNoEntry: false });
    return found && found.mtimeMs < cutoffMs ? found.size : null;
  }

  /**
   * Takes the file away first and looks at its age then: a run that commits the same content in between either comes
   * before, and the file is young and put back, or after, and makes its own.
   */
  private async removeOlder(name: string, cutoffMs: number): Promise<number | null> {
    const path = this.home.at(FOLDER, name);
    try {
      if ((await stat(path)).mtimeMs >= cutoffMs) return null;
      const aside = join(await this.home.makeFolder('tmp'), await createTempName());
      await rename(path, aside);
      const found = await stat(aside);
      const young = found.mtimeMs >= cutoffMs;
      if (young) {
        await link(aside, path).catch((error: unknown) => {
          if (!isErrno(error, 'EEXIST')) throw error;
        });
      }
      await unlink(aside);
      return young ? null : found.size;
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return null;
      throw describeStoreError(cause, 'removed', path);
    }
  }

  private path(digest: Digest): string {
    if (!isDigest(digest)) throw invalidFile(JSON.stringify(digest), 'is not a digest');
    return this.home.at(FOLDER, hexOf(digest));
  }
}

const suffixOf = ({ runId, stream }: GrowingName): string => `.${runId}.${stream}`;

/** What was committed after this may belong to a record that is still on its way. */
export function pruneCutoff(nowMs: number, oldestOpenMs: number | null): number {
  return Math.min(nowMs - HOUR_MS, oldestOpenMs ?? Infinity);
}
