import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import ssri from 'ssri';
import { isErrno, SjsError } from '../../errors.js';
import { cleanText } from '../../model/clean-text.js';

/** More than any download may take, and any build from the look at what is there to its last use. */
const LONGEST_WRITE_MS = 3_600_000;

/** A tarball while it comes. */
export interface TarballWriter {
  /** Forgets what has come. */
  restart(): Promise<void>;
  /** Returns how many bytes there are now. */
  take(chunk: Uint8Array): Promise<number>;
}

/** Tarballs by their integrity. What is read is checked each time: whoever changes a file gains nothing by it. */
export class TarballCache {
  private readonly folder: string;

  /** @param folder absolute; made when first written to */
  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * How many bytes it holds of the integrity: `other` when what it holds under that name is something else. What is held is
   * in use from now on.
   */
  async look(integrity: string): Promise<number | 'absent' | 'other'> {
    try {
      let bytes = 0;
      for await (const chunk of this.read(integrity)) bytes += chunk.length;
      await this.touch(integrity);
      return bytes;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'absent';
      if (isErrno(error, 'EINTEGRITY', 'EISDIR')) return 'other';
      throw this.describe(error);
    }
  }

  /** The bytes; fails with `EINTEGRITY` at their end when they are not those of the integrity. */
  async *read(integrity: string): AsyncGenerator<Uint8Array> {
    const hash = createHash(integrity);
    for await (const chunk of createReadStream(this.pathOf(integrity)) as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      yield chunk;
    }
    checkHash(hash, integrity);
  }

  /**
   * Writes a tarball under its integrity, whole or not at all: with `EINTEGRITY` when the bytes are others. Returns how many
   * they are.
   */
  async write(integrity: string, write: (file: TarballWriter) => Promise<void>): Promise<number> {
    const path = this.pathOf(integrity);
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const handle = await open(temporary, 'wx', 0o600);
      let bytes = 0;
      try {
        let hash = createHash(integrity);
        await write({
          restart: async () => {
            if (bytes > 0) await handle.truncate(0);
            bytes = 0;
            hash = createHash(integrity);
          },
          take: async (chunk) => {
            await handle.write(chunk, 0, chunk.length, bytes);
            hash.update(chunk);
            bytes += chunk.length;
            return bytes;
          },
        });
        checkHash(hash, integrity);
      } finally {
        await handle.close();
      }
      await rename(temporary, path).catch(async (error: unknown) => {
        // Somebody put a folder there: of a file the new one takes the place at once.
        if (!isErrno(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
        await rm(path, { recursive: true, force: true });
        await rename(temporary, path);
      });
      return bytes;
    } catch (error) {
      await rm(temporary, { force: true });
      throw this.describe(error);
    }
  }

  /** Says that it is in use: {@link prune} goes by that. */
  async touch(integrity: string): Promise<void> {
    const now = Date.now() / 1000;
    // A cache that cannot be written can be read all the same.
    await utimes(this.pathOf(integrity), now, now).catch(() => undefined);
  }

  /**
   * Removes tarballs that were last in use before a time, and halves that no download is at work on any more. What cannot
   * be removed stays, and is said.
   */
  async prune(
    { before, dryRun }: { readonly before: number; readonly dryRun: boolean },
    onWarning: (message: string) => void,
  ): Promise<{ readonly count: number; readonly bytes: number }> {
    const young = Date.now() - LONGEST_WRITE_MS;
    let [count, bytes] = [0, 0];
    const paths = await this.list().catch((error: unknown) => {
      onWarning(`cached packages cannot be removed: ${cleanText(String(error))}`);
      return [];
    });
    for (const path of paths) {
      const cutoff = path.endsWith('.tmp') ? young : Math.min(before, young);
      try {
        const { mtimeMs, size } = await lstat(path);
        if (mtimeMs >= cutoff) continue;
        if (!dryRun) await rm(path);
        count += 1;
        bytes += size;
      } catch (error) {
        // Another prune was there before.
        if (isErrno(error, 'ENOENT')) continue;
        onWarning(`a cached package cannot be removed: ${cleanText(String(error))}`);
      }
    }
    return { count, bytes };
  }

  /** Its files; a link is one too, and not followed. */
  private async list(): Promise<readonly string[]> {
    try {
      const found = await readdir(this.folder, { recursive: true, withFileTypes: true });
      return found.filter((one) => !one.isDirectory()).map((one) => join(one.parentPath, one.name));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw this.describe(error);
    }
  }

  /** A name without letter case, as base64 has: some file systems do not tell it. */
  private pathOf(integrity: string): string {
    const { algorithm } = ssri.parse(integrity, { single: true });
    const hex = ssri.parse(integrity, { single: true }).hexDigest();
    return join(this.folder, algorithm, hex.slice(0, 2), hex);
  }

  private describe(error: unknown): unknown {
    if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
      return new SjsError('DISK_FULL', `the disk is full: ${this.folder} cannot be written`, {
        cause: error,
        next: 'free some space there, then run the command again',
      });
    }
    if (!isErrno(error, 'EACCES', 'EPERM', 'EROFS', 'EIO', 'ENOTDIR')) return error;
    return new SjsError('STORE_FAILED', `the cache of packages ${this.folder} cannot be used`, {
      cause: error,
      next: 'make it readable and writable for you, or remove it',
    });
  }
}

type Hash = ReturnType<typeof ssri.create>;

const createHash = (integrity: string): Hash =>
  ssri.create({ algorithms: [ssri.parse(integrity, { single: true }).algorithm] });

function checkHash(hash: Hash, integrity: string): void {
  const found = String(hash.digest());
  if (ssri.parse(found).match(integrity)) return;
  throw Object.assign(new Error(`wanted ${integrity}, found ${found}`), { code: 'EINTEGRITY' });
}
